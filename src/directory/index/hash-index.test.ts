import fc from 'fast-check';
import { expect, it } from 'vitest';
import { hashBytes } from './hash.ts';
import { HashIndex, MOST_CHAINED } from './hash-index.ts';
import { Tree } from './tree.ts';

/** Few different hashes, in few neighbouring slots: everything collides. */
const hash = fc.oneof(
  fc.nat(12),
  fc.nat(12).map((n) => (n | 0xfc000000) >>> 0),
  fc.integer({ min: 0, max: 0xffff_ffff }),
);

it('is a multimap, whatever is added and removed', () => {
  const step = fc.tuple(fc.boolean(), hash, fc.integer({ min: 1, max: 40 }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const index = new HashIndex();
      const model = new Map<number, number[]>();
      for (const [add, h, id] of steps) {
        const ids = model.get(h) ?? [];
        if (add) {
          index.add(h, id);
          ids.push(id);
          model.set(h, ids);
        } else if (ids.includes(id)) {
          index.remove(h, id);
          ids.splice(ids.indexOf(id), 1);
          model.set(h, ids);
        }
      }
      for (const [h, ids] of model) {
        const found: number[] = [];
        expect(index.collect(h, found)).toBe(true);
        expect(found.sort()).toEqual([...ids].sort());
        expect(index.count(h)).toBe(ids.length);
        const first = index.first(h);
        if (ids.length === 0) expect(first).toBe(0);
        else if (ids.length === 1) expect(first).toBe(ids[0]);
        else expect(first).toBeGreaterThanOrEqual(0x8000_0000);
      }
      expect(index.first(0x5555_5555)).toBe(model.get(0x5555_5555)?.[0] ?? 0);
    }),
    { numRuns: 300 },
  );
});

it('only counts a value that too many entries have, until it is gone', () => {
  const index = new HashIndex();
  for (let id = 1; id <= MOST_CHAINED + 10; id++) index.add(7, id);
  expect([index.count(7), index.collect(7, [])]).toEqual([MOST_CHAINED + 10, false]);
  for (let id = 1; id <= MOST_CHAINED + 10; id++) index.remove(7, id);
  expect([index.count(7), index.first(7)]).toEqual([0, 0]);
  index.add(7, 3);
  expect([index.count(7), index.first(7)]).toEqual([1, 3]);
});

it('takes very many hashes, one by one or later all at once', () => {
  const count = 200_000;
  const key = Buffer.alloc(4);
  const of = (n: number): number => {
    key.writeUInt32LE(n);
    return hashBytes(key, 0, 4, 12345);
  };
  for (const how of ['add', 'addLater'] as const) {
    const index = new HashIndex();
    index.add(of(count + 1), count + 1);
    for (let n = 1; n <= count; n++) index[how](of(n), n);
    index.finish();
    let missing = 0;
    for (let n = 1; n <= count + 1; n++) {
      const found: number[] = [];
      index.collect(of(n), found);
      if (!found.includes(n)) missing++;
    }
    expect(missing).toBe(0);
    expect(index.bytes / count).toBeLessThan(25);
  }
});

it('the tree knows parents, children and subtrees', () => {
  const step = fc.tuple(
    fc.constantFrom('add', 'remove', 'move'),
    fc.integer({ min: 1, max: 12 }),
    fc.integer({ min: 0, max: 12 }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const tree = new Tree();
      const parents = new Map<number, number>();
      const children = (id: number): number[] =>
        [...parents]
          .filter(([, p]) => p === id)
          .map(([c]) => c)
          .sort((a, b) => a - b);
      const within = (id: number, top: number): boolean =>
        top === 0 || id === top || (parents.has(id) && within(parents.get(id) as number, top) && id !== 0);
      for (const [what, id, parent] of steps) {
        const parentIsThere = parent === 0 || parents.has(parent);
        if (what === 'add' && !parents.has(id) && parentIsThere) {
          tree.add(id, parent);
          parents.set(id, parent);
        } else if (what === 'remove' && parents.has(id) && children(id).length === 0) {
          tree.remove(id);
          parents.delete(id);
        } else if (what === 'move' && parents.has(id) && parentIsThere && !within(parent, id)) {
          tree.remove(id);
          tree.add(id, parent);
          parents.set(id, parent);
        }
      }
      for (let id = 0; id <= 12; id++) {
        const found: number[] = [];
        for (let c = tree.firstChild(id); c !== 0; c = tree.nextSibling(c)) found.push(c);
        expect(found.sort((a, b) => a - b)).toEqual(children(id));
        expect(tree.childCount(id)).toBe(children(id).length);
        if (!parents.has(id)) continue;
        expect(tree.parent(id)).toBe(parents.get(id));
        const subtree: number[] = [];
        expect(tree.collect(id, 100, subtree)).toBe(true);
        expect(subtree.sort((a, b) => a - b)).toEqual(
          [...parents.keys()].filter((n) => within(n, id)).sort((a, b) => a - b),
        );
        for (const n of parents.keys()) expect(tree.isWithin(n, id)).toBe(within(n, id));
      }
    }),
    { numRuns: 200 },
  );
});
