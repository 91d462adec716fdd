/** Attributes of a source entry by name: descriptions in lower case, without options, values of all their options together. */
import type { Attribute } from '../../ldap/message.ts';

/** Descriptions as servers spell them -> names; bounded, since the other side chooses them. */
const names = new Map<string, string>();
const MOST_NAMES = 1000;

export function entryAttributes(attributes: readonly Attribute[]): Map<string, readonly Buffer[]> {
  const byName = new Map<string, readonly Buffer[]>();
  for (const { type, values } of attributes) {
    const name = nameOf(type);
    const before = byName.get(name);
    byName.set(name, before === undefined ? values : [...before, ...values]);
  }
  return byName;
}

function nameOf(description: string): string {
  const known = names.get(description);
  if (known !== undefined) return known;
  const semicolon = description.indexOf(';');
  const name = (semicolon < 0 ? description : description.slice(0, semicolon)).toLowerCase();
  if (names.size < MOST_NAMES) names.set(description, name);
  return name;
}
