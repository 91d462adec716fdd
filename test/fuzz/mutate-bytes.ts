/** Mutations that know nothing of the format. */
import type { FuzzRandom } from './random.ts';

const INTERESTING = [
  0, 1, 2, 0x0a, 0x20, 0x28, 0x29, 0x30, 0x5c, 0x7f, 0x80, 0x81, 0x84, 0x85, 0xa0, 0xc0, 0xfe, 0xff,
];

export function mutateBytes(
  input: Buffer,
  other: Buffer,
  words: readonly Buffer[],
  random: FuzzRandom,
): Buffer {
  const at = random.below(input.length + 1);
  const length = random.below(Math.min(input.length - at, random.oneIn(4) ? 256 : 8) + 1);
  const put = (bytes: Uint8Array, replaced = 0): Buffer =>
    Buffer.concat([input.subarray(0, at), bytes, input.subarray(at + replaced)]);
  switch (random.below(9)) {
    case 0: {
      const copy = Buffer.from(input);
      if (at < copy.length) copy[at] = (copy[at] as number) ^ (1 << random.below(8));
      return copy;
    }
    case 1:
      return put(Buffer.of(random.pick(INTERESTING)), 1);
    case 2:
      return put(Buffer.of(random.below(256)), random.below(2));
    case 3:
      return put(Buffer.alloc(0), length);
    case 4: {
      const part = input.subarray(at, at + length);
      const times = 1 + random.below(random.oneIn(20) ? 200 : 3);
      return put(Buffer.concat(Array.from({ length: times }, () => part)));
    }
    case 5: {
      const from = random.below(other.length + 1);
      return put(other.subarray(from, from + random.below(other.length - from + 1)), length);
    }
    case 6:
      return Buffer.concat([input.subarray(0, at), other.subarray(random.below(other.length + 1))]);
    case 7: {
      const copy = Buffer.from(input);
      if (at < copy.length) copy[at] = (copy[at] as number) + random.below(35) - 17;
      return copy;
    }
    default:
      return words.length === 0 ? input : put(random.pick(words), random.oneIn(2) ? length : 0);
  }
}
