/** A keyed 32-bit hash of octets. The key is random per process, so that nobody can prepare values that collide. */

/** Hash of `bytes[start..end)`; `seed` is any 32-bit number. Murmur3's mixing, with the length folded in. */
export function hashBytes(bytes: Uint8Array, start: number, end: number, seed: number): number {
  let h = seed ^ (end - start);
  let i = start;
  for (; i + 4 <= end; i += 4) {
    let k =
      (bytes[i] as number) |
      ((bytes[i + 1] as number) << 8) |
      ((bytes[i + 2] as number) << 16) |
      ((bytes[i + 3] as number) << 24);
    k = Math.imul(k ^ seed, 0xcc9e2d51);
    h ^= Math.imul((k << 15) | (k >>> 17), 0x1b873593);
    h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
  }
  if (i < end) {
    let k = bytes[i] as number;
    if (i + 1 < end) k |= (bytes[i + 1] as number) << 8;
    if (i + 2 < end) k |= (bytes[i + 2] as number) << 16;
    k = Math.imul(k ^ seed, 0xcc9e2d51);
    h ^= Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  }
  return mix(h);
}

/** A hash of a hash and a number: for keys such as (parent, RDN). */
export function mixHash(hash: number, number: number, seed: number): number {
  return mix(hash ^ Math.imul(number ^ seed, 0x9e3779b1));
}

function mix(h: number): number {
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** True when `bytes[start..end)` are `other`. For the short runs of names and values a loop beats a call into native code. */
export function equalBytes(bytes: Uint8Array, start: number, end: number, other: Uint8Array): boolean {
  if (end - start !== other.length) return false;
  for (let i = 0, at = start; at < end; i++, at++) if (bytes[at] !== other[i]) return false;
  return true;
}
