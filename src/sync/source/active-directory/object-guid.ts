/**
 * objectGUID in two orders of octets. Active Directory stores the first three fields little-endian ([MS-DTYP] 2.3.4.2); Postern keeps a
 * GUID in the order of its text (RFC 9562), so that it reads the same here and in the tools of the domain.
 */

const OCTETS = 16;

/** Either direction; a copy. Undefined when `value` is no GUID. */
export function swapGuid(value: Buffer | undefined): Buffer | undefined {
  if (value?.length !== OCTETS) return undefined;
  const swapped = Buffer.from(value);
  swapped.subarray(0, 4).swap32();
  swapped.subarray(4, 8).swap16();
  return swapped;
}
