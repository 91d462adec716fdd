import { expect, test } from 'vitest';
import { yieldToLoop } from '../base/clock.ts';
import { endRound, MOST_WRITERS, writeTogether } from './write-round.ts';

function writer() {
  const seen = { flushes: 0 };
  return { seen, flush: () => void seen.flushes++ };
}

test('all write when the round ends, each once', async () => {
  const writers = Array.from({ length: 5 }, writer);
  for (const one of [...writers, ...writers]) writeTogether(one);
  expect(writers.map(({ seen }) => seen.flushes)).toEqual([0, 0, 0, 0, 0]);
  await yieldToLoop();
  expect(writers.map(({ seen }) => seen.flushes)).toEqual([1, 1, 1, 1, 1]);
  await yieldToLoop();
  const [first] = writers;
  if (first === undefined) return;
  expect(first.seen.flushes).toBe(1);
  writeTogether(first);
  await yieldToLoop();
  expect(first.seen.flushes).toBe(2);
});

test('before long work, and when many wait, at once', () => {
  const one = writer();
  writeTogether(one);
  endRound();
  expect(one.seen.flushes).toBe(1);
  const many = Array.from({ length: MOST_WRITERS }, writer);
  for (const each of many.slice(1)) writeTogether(each);
  expect(many.every(({ seen }) => seen.flushes === 0)).toBe(true);
  if (many[0] !== undefined) writeTogether(many[0]);
  expect(many.every(({ seen }) => seen.flushes === 1)).toBe(true);
});
