import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ChangeBatch, ChangeQueue } from './change-queue.ts';

const batch = (sequence: number, changes: number): ChangeBatch => ({
  changes: Array.from({ length: changes }, (_, id) => ({
    id,
    guid: Buffer.alloc(16),
    before: undefined,
    after: undefined,
  })),
  position: { mirrorId: Buffer.alloc(16), sequence, cookie: undefined },
  plannedRemovals: 0,
});
const drain = (queue: ChangeQueue): ChangeBatch[] => {
  const taken: ChangeBatch[] = [];
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) taken.push(next);
  return taken;
};

describe('change queue', () => {
  it('keeps order, and every change', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 3000 }), (sizes) => {
        const queue = new ChangeQueue();
        const taken: ChangeBatch[] = [];
        sizes.forEach((size, sequence) => {
          queue.push(batch(sequence, size));
          if (sequence % 3 === 2) taken.push(...[queue.shift()].filter((b) => b !== undefined));
        });
        taken.push(...drain(queue));
        const sequences = taken.map((b) => b.position.sequence);
        expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
        const withChanges = sizes.flatMap((size, sequence) => (size > 0 ? [sequence] : []));
        expect(sequences.filter((s) => (sizes[s] ?? 0) > 0)).toEqual(withChanges);
        if (sizes.length > 0) expect(sequences.at(-1)).toBe(sizes.length - 1);
      }),
    );
  });

  it('keeps one of many positions without changes', () => {
    const queue = new ChangeQueue();
    queue.push(batch(1, 1));
    for (let sequence = 2; sequence < 1000; sequence++) queue.push(batch(sequence, 0));
    expect(drain(queue).map((b) => b.position.sequence)).toEqual([1, 999]);
  });

  it('asks for patience, then gives up', async () => {
    const queue = new ChangeQueue({ room: 10, most: 20 });
    queue.push(batch(1, 9));
    expect(queue.room()).toBeUndefined();
    queue.push(batch(2, 5));
    const room = queue.room();
    expect(room).toBeInstanceOf(Promise);
    queue.shift();
    await room;
    queue.push(batch(3, 30));
    expect([queue.overflowed, queue.isEmpty, queue.room()]).toEqual([true, true, undefined]);
    queue.push(batch(4, 1));
    expect(queue.isEmpty).toBe(true);
  });
});
