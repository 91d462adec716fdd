/**
 * Short ASCII texts that come again and again (attribute types, object identifiers): looked up by their octets, so that no string is made
 * for one seen before. A table of fixed size that forgets by overwriting: nobody can make it grow.
 */
const SLOTS = 512;
const LONGEST = 64;
const table: string[] = new Array<string>(SLOTS).fill('');

/** The text of octets `start` to `end`, or undefined when they are too long or not ASCII: decode them in the usual way then. */
export function internedAscii(buffer: Buffer, start: number, end: number): string | undefined {
  const length = end - start;
  if (length > LONGEST) return undefined;
  let hash = length;
  for (let i = start; i < end; i++) {
    const octet = buffer[i] as number;
    if (octet >= 0x80) return undefined;
    hash = (Math.imul(hash, 31) + octet) | 0;
  }
  const slot = (hash ^ (hash >>> 9)) & (SLOTS - 1);
  const known = table[slot] as string;
  if (known.length === length) {
    let i = 0;
    while (i < length && known.charCodeAt(i) === buffer[start + i]) i++;
    if (i === length) return known;
  }
  return (table[slot] = buffer.toString('latin1', start, end));
}
