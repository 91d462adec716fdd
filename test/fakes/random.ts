/** Repeatable randomness for tests: SHA-256 in counter mode over a seed. */
import { createHash } from 'node:crypto';
import type { Random } from '../../src/base/random.ts';

export function fakeRandom(seed = 'postern'): Random {
  let counter = 0;
  const block = (): Buffer => createHash('sha256').update(`${seed}:${counter++}`).digest();
  const bytes = (length: number): Buffer => {
    const parts: Buffer[] = [];
    for (let have = 0; have < length; have += 32) parts.push(block());
    return Buffer.concat(parts).subarray(0, length);
  };
  return {
    bytes,
    fraction: () => bytes(4).readUInt32BE() / 2 ** 32,
    uuid() {
      const b = bytes(16);
      b[6] = ((b[6] ?? 0) & 0x0f) | 0x40;
      b[8] = ((b[8] ?? 0) & 0x3f) | 0x80;
      return b.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
    },
  };
}
