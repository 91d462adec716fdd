/** Two hexadecimal digits in text: shared by the string forms of filters and DNs. */

function digit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** The octet that the two digits at `at` stand for, or -1. */
export function hexPair(text: string, at: number): number {
  if (at + 1 >= text.length) return -1;
  const high = digit(text.charCodeAt(at));
  const low = digit(text.charCodeAt(at + 1));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/** "\2a" */
export function escapeOctet(octet: number): string {
  return `\\${octet.toString(16).padStart(2, '0')}`;
}
