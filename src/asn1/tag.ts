/** Identifier octets (X.690 §8.1.2). Only low tag numbers (0 to 30): neither LDAP nor X.509 uses others. */

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  sequence: 0x30,
  set: 0x31,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
} as const;

/** `[n]` primitive, context class: an IMPLICIT tag over a primitive type. */
export function contextTag(n: number): number {
  return 0x80 | n;
}

/** `[n]` constructed, context class: an EXPLICIT tag, or an IMPLICIT one over a SEQUENCE or SET. */
export function contextConstructed(n: number): number {
  return 0xa0 | n;
}

/** "SEQUENCE", "[3] constructed"...: for messages. */
export function tagName(tag: number): string {
  for (const [name, value] of Object.entries(TAG)) if (value === tag) return name;
  const kind = ['universal', 'application', 'context', 'private'][tag >> 6] ?? '';
  return `${kind} ${tag & 0x1f}${(tag & 0x20) === 0 ? '' : ' constructed'}`;
}
