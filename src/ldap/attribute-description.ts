/** Attribute descriptions and object identifiers as text (RFC 4512 §1.4, §2.5): syntax only. */

/** descr or numericoid. The underscore isn't RFC 4512's, but is found in the wild and can't be mistaken for anything. */
const OID = String.raw`(?:[A-Za-z][A-Za-z0-9_-]*|[0-2](?:\.(?:0|[1-9][0-9]*))+)`;
const NAME = new RegExp(`^${OID}$`);
const DESCRIPTION = new RegExp(`^${OID}(?:;[A-Za-z0-9_-]+)*$`);
/** Bounds what a regular expression looks at. */
const MOST_CHARACTERS = 1024;

/** An attribute type, object class or matching rule: a short name or dotted decimal. */
export function isOidName(text: string): boolean {
  return text.length <= MOST_CHARACTERS && NAME.test(text);
}

/** A type with options: "cn;lang-en". */
export function isAttributeDescription(text: string): boolean {
  return text.length <= MOST_CHARACTERS && DESCRIPTION.test(text);
}
