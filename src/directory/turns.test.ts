import { describe, expect, it } from 'vitest';
import { yieldToLoop } from '../base/clock.ts';
import { Turns } from './turns.ts';

/** A clock that goes on by what each slice costs. */
function site(): { turns: Turns; ran: string[]; slice: (name: string, costMs: number) => () => void } {
  let now = 0;
  const ran: string[] = [];
  return {
    turns: new Turns({ monotonic: () => now }),
    ran,
    slice: (name, costMs) => () => {
      ran.push(name);
      now += costMs;
    },
  };
}

describe('turns', () => {
  it('come in the order of asking, and only so many between two turns of the loop', async () => {
    const { turns, ran, slice } = site();
    for (const name of ['a', 'b', 'c', 'd', 'e']) turns.queue(slice(name, 1));
    expect([ran, turns.busy]).toEqual([[], true]);
    await yieldToLoop();
    expect(ran).toEqual(['a', 'b']);
    await yieldToLoop();
    expect(ran).toEqual(['a', 'b', 'c', 'd']);
    await yieldToLoop();
    expect([ran, turns.busy]).toEqual([['a', 'b', 'c', 'd', 'e'], false]);
  });

  it('are fair: who queues again stands behind the others', async () => {
    const { turns, ran, slice } = site();
    const again = (name: string, left: number) => (): void => {
      slice(name, 5)();
      if (left > 0) turns.queue(again(name, left - 1));
    };
    turns.queue(again('long', 3));
    turns.queue(again('other', 3));
    for (let n = 0; n < 8; n++) await yieldToLoop();
    expect(ran).toEqual(['long', 'other', 'long', 'other', 'long', 'other', 'long', 'other']);
  });

  it('go round the owners, however much each of them has queued', async () => {
    const { turns, ran, slice } = site();
    const [greedy, modest] = [{}, {}];
    for (const name of ['g1', 'g2', 'g3', 'g4']) turns.queue(slice(name, 1), greedy);
    turns.queue(slice('m1', 1), modest);
    turns.queue(slice('m2', 1), modest);
    expect([turns.has(greedy), turns.has({})]).toEqual([true, false]);
    while (turns.busy) await yieldToLoop();
    expect(ran).toEqual(['g1', 'm1', 'g2', 'm2', 'g3', 'g4']);
    expect(turns.has(greedy)).toBe(false);
  });

  it('runs one slice at least, however long it takes', async () => {
    const { turns, ran, slice } = site();
    turns.queue(slice('long', 1000));
    turns.queue(slice('short', 0));
    await yieldToLoop();
    expect(ran).toEqual(['long']);
    await yieldToLoop();
    expect(ran).toEqual(['long', 'short']);
  });
});
