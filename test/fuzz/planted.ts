/** A parser with faults behind branches, for the engine to find. */
export function planted(input: Buffer): number {
  if (input[0] !== 0x42) return 0;
  if (input[3] !== 0x17) return 1;
  if ((input[5] ?? 0) >> 4 !== 9) return 2;
  throw new TypeError('planted: behind three branches');
}

/** Work that grows with the square of the number of commas. */
export function plantedWork(input: Buffer): number {
  let sum = 0;
  const commas = [...input].flatMap((octet, i) => (octet === 0x2c ? [i] : []));
  for (const a of commas) for (const b of commas) if (a < b) sum += b - a;
  return sum;
}

/** A nested value whose third level must not hold an empty octet string. */
export function plantedTree(input: Buffer): void {
  let at = 0;
  for (let level = 0; level < 3; level++) {
    if (input[at] !== 0x30 || input[at + 1] !== input.length - at - 2) return;
    at += 2;
  }
  if (input[at] === 0x04 && input[at + 1] === 0)
    throw new RangeError('planted: an empty string on the third level');
}
