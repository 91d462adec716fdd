import fc from 'fast-check';
import { expect, it } from 'vitest';
import { FakeClock } from '../../../test/fakes/clock.ts';
import {
  type Shape,
  guid,
  entry,
  map,
  remove,
  present,
  complete,
  packCookie,
  openTestMirror,
  Replica,
} from '../../../test/support/mirror.ts';
import { createMemoryStore } from '../../directory/store/store.ts';
import { guidText, packRecipient } from '../recipient.ts';
import type { FeedEvent } from '../source/source.ts';
import type { Pass } from './mirror.ts';

/** The model: what the source said, in plain maps. */
class Model {
  readonly entries = new Map<number, Shape>();
  readonly doubts = new Map<number, Shape | 'delete' | 'keep'>();
  refreshing = true;

  begin(): void {
    this.doubts.clear();
    this.refreshing = true;
  }

  upsert(n: number, shape: Shape): void {
    const known = this.entries.get(n);
    if (this.refreshing && known !== undefined && known.reason === undefined && shape.reason !== undefined)
      this.doubts.set(n, shape);
    else {
      this.entries.set(n, shape);
      if (this.refreshing) this.doubts.set(n, 'keep');
    }
  }

  delete(n: number): void {
    if (!this.entries.has(n)) return;
    if (this.refreshing) this.doubts.set(n, 'delete');
    else this.entries.delete(n);
  }

  complete(sweep: boolean): void {
    for (const n of this.entries.keys()) {
      const doubt = this.doubts.get(n);
      if (doubt === 'delete' || (doubt === undefined && sweep)) this.entries.delete(n);
      else if (typeof doubt === 'object') this.entries.set(n, doubt);
    }
    this.doubts.clear();
    this.refreshing = false;
  }
}

const number = fc.integer({ min: 0, max: 30 });
const shape: fc.Arbitrary<Shape> = fc.record({
  reason: fc.constantFrom(undefined, undefined, undefined, 'no-address', 'left-out', 'disabled'),
  addresses: fc.subarray(['a@x', 'b@x', 'ü@x', 'd@long.example'], { minLength: 1 }),
  dropped: fc.constantFrom(0, 0, 0, 3, 300),
});
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('upsert' as const), n: number, shape }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('delete' as const), n: number }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('present' as const), ns: fc.array(number) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('complete' as const), sweep: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant({ do: 'restart' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'begin' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'reopen' as const }) },
  { weight: 3, arbitrary: fc.constant({ do: 'flush' as const }) },
);

it('agrees with a map under any sequence of events, passes and restarts', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const store = createMemoryStore({ slabBytes: 4096 });
      const model = new Model();
      let mirror = openTestMirror(store);
      let replica = new Replica(mirror);
      let pass: Pass = await mirror.begin({ map, packCookie });
      let events: FeedEvent[] = [];
      const check = async (): Promise<void> => {
        await pass.apply(events);
        events = [];
        const expected = new Map(
          [...model.entries]
            .filter(([, { reason }]) => reason === undefined)
            .map(([n, { addresses }]) => [
              guidText(guid(n)),
              packRecipient({ kind: 'user', addresses }).toString('latin1'),
            ]),
        );
        expect(replica.recipients).toEqual(expected);
        expect(new Replica(mirror).recipients).toEqual(expected);
        const all = [...model.entries.values()];
        expect(mirror.counts).toEqual({
          entries: all.length,
          recipients: expected.size,
          leftOut: {
            'no-address': all.filter(({ reason }) => reason === 'no-address').length,
            'left-out': all.filter(({ reason }) => reason === 'left-out').length,
            disabled: all.filter(({ reason }) => reason === 'disabled').length,
          },
          droppedAddresses: all.reduce((sum, { dropped }) => sum + dropped, 0),
        });
      };
      for (const now of steps) {
        switch (now.do) {
          case 'upsert':
            model.upsert(now.n, now.shape);
            events.push({ kind: 'upsert', entry: entry(now.n, now.shape) });
            break;
          case 'delete':
            model.delete(now.n);
            events.push(remove(now.n));
            break;
          case 'present': {
            const known = now.ns.filter((n) => model.entries.has(n));
            if (model.refreshing) for (const n of known) model.doubts.set(n, 'keep');
            events.push(present(...known));
            break;
          }
          case 'complete':
            model.complete(now.sweep);
            events.push(complete(now.sweep));
            break;
          case 'restart':
            model.begin();
            events.push({ kind: 'restart' });
            break;
          case 'flush':
            await check();
            break;
          case 'begin':
          case 'reopen':
            await check();
            if (now.do === 'reopen') {
              await store.flush();
              const before = mirror.position;
              mirror = openTestMirror(store, new FakeClock(), `${steps.length}`);
              expect(mirror.position).toEqual(before);
              replica = new Replica(mirror);
            }
            model.begin();
            pass = await mirror.begin({ map, packCookie });
            break;
        }
      }
      await check();
    }),
    { numRuns: 300 },
  );
});
