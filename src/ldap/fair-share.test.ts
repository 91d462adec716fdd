import { expect, test } from 'vitest';
import { yieldToLoop } from '../base/clock.ts';
import { FairShare, MOST_IN_ROW } from './fair-share.ts';

/** A connection that counts how often it has waited, and gone on. */
function party() {
  const seen = { waits: 0, goesOn: 0 };
  const share = new FairShare({
    postpone() {
      seen.waits++;
      return (work) => {
        work();
        seen.goesOn++;
      };
    },
  });
  return { seen, share };
}

function handle({ share }: ReturnType<typeof party>, requests: number): void {
  share.reads();
  for (let n = 0; n < requests; n++) share.costly();
}

test('alone, nobody waits', () => {
  const loader = party();
  handle(loader, 1000);
  handle(loader, 1000);
  expect(loader.seen.waits).toBe(0);
  loader.share.gone();
});

test('beside others, a turn of the event loop after some costly requests, until they have long been silent', async () => {
  const [loader, searcher] = [party(), party()];
  searcher.share.reads();
  handle(loader, MOST_IN_ROW - 1);
  expect(loader.seen.waits).toBe(0);
  handle(loader, 1);
  expect(loader.seen).toEqual({ waits: 1, goesOn: 0 });
  await yieldToLoop();
  expect(loader.seen).toEqual({ waits: 1, goesOn: 1 });
  handle(loader, 10 * MOST_IN_ROW);
  expect(loader.seen.waits).toBe(8);
  searcher.share.reads();
  handle(loader, MOST_IN_ROW);
  expect(loader.seen.waits).toBe(9);
  expect(searcher.seen.waits).toBe(0);
  await yieldToLoop();
  for (const { share } of [loader, searcher]) share.gone();
});

test('who is gone is forgotten', () => {
  const [first, second] = [party(), party()];
  first.share.reads();
  first.share.gone();
  handle(second, 100);
  expect(second.seen.waits).toBe(0);
  second.share.gone();
});
