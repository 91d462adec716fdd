import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RecordIds } from './record-id.ts';

test('freed numbers come again, oldest first, before new ones', () => {
  const ids = new RecordIds();
  expect([ids.allocate(), ids.allocate(), ids.allocate()]).toEqual([1, 2, 3]);
  ids.free(2);
  ids.free(1);
  expect([ids.allocate(), ids.allocate(), ids.allocate()]).toEqual([2, 1, 4]);
  expect(ids.limit).toBe(5);
});

test('numbers freed after a hold began wait for its end; those freed before do not', () => {
  const ids = new RecordIds();
  for (let n = 0; n < 5; n += 1) ids.allocate();
  ids.free(1);
  const letGo = ids.hold();
  ids.free(2);
  const letGoLater = ids.hold();
  ids.free(3);
  expect([ids.allocate(), ids.allocate()]).toEqual([1, 6]);
  letGo();
  expect([ids.allocate(), ids.allocate()]).toEqual([2, 7]);
  letGoLater();
  letGoLater();
  expect([ids.allocate(), ids.allocate()]).toEqual([3, 8]);
});

test('any order: no number is given twice, none that is held', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 400 }), (steps) => {
      const ids = new RecordIds();
      const used: number[] = [];
      const holds: { letGo: () => void; freed: Set<number> }[] = [];
      for (const step of steps) {
        if (step < 4) {
          const id = ids.allocate();
          expect(used).not.toContain(id);
          for (const { freed } of holds) expect(freed).not.toContain(id);
          used.push(id);
        } else if (step < 8) {
          const [id] = used.splice(step % Math.max(1, used.length), 1);
          if (id === undefined) continue;
          ids.free(id);
          for (const { freed } of holds) freed.add(id);
        } else if (step === 8) holds.push({ letGo: ids.hold(), freed: new Set() });
        else holds.splice(0, 1)[0]?.letGo();
      }
    }),
  );
});

test('after recovery the gaps are free', () => {
  const ids = new RecordIds();
  ids.restore(6, (id) => id % 2 === 0);
  expect([ids.allocate(), ids.allocate(), ids.allocate(), ids.allocate()]).toEqual([1, 3, 5, 6]);
});
