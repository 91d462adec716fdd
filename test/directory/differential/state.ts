/** What slapd holds at this moment, as the generator sees it. */
import { parseFilter } from '../../../src/ldap/filter.ts';
import type { SearchRequest } from '../../../src/ldap/message.ts';
import type { Entries } from './run.ts';
import { BASE } from './vocabulary.ts';
import { HOME, textOf } from './vocabulary.ts';

export interface Held {
  readonly dn: string;
  readonly attributes: Readonly<Record<string, readonly string[]>>;
  readonly leaf: boolean;
}

export interface State {
  /** Parents before children; the first is the home of the case. */
  readonly entries: readonly Held[];
}

/** Everything worth comparing, operational attributes included that both must agree on. */
export const EVERYTHING: SearchRequest = {
  op: 'searchRequest',
  base: BASE,
  scope: 'subtree',
  derefAliases: 'never',
  sizeLimit: 0,
  timeLimit: 0,
  typesOnly: false,
  filter: parseFilter('(objectClass=*)'),
  attributes: [
    '*',
    'hasSubordinates',
    'structuralObjectClass',
    'subschemaSubentry',
    'entryDN',
    'creatorsName',
    'modifiersName',
  ],
};

const OPERATIONAL = new Set([
  'hasSubordinates',
  'structuralObjectClass',
  'subschemaSubentry',
  'entryDN',
  'creatorsName',
  'modifiersName',
]);

export function stateOf(entries: Entries): State {
  const held = Object.entries(entries)
    .filter(([dn]) => dn.endsWith(HOME))
    .map(([dn, attributes]) => ({
      dn,
      attributes: Object.fromEntries(
        Object.entries(attributes)
          .filter(([type]) => !OPERATIONAL.has(type))
          .map(([type, values]) => [type, values.map((value) => textOf(type, value))]),
      ),
      leaf: attributes['hasSubordinates']?.[0] === 'FALSE',
    }));
  return { entries: held.sort((a, b) => depth(a.dn) - depth(b.dn) || (a.dn < b.dn ? -1 : 1)) };
}

export function depth(dn: string): number {
  return dn.split(/(?<!\\),/).length;
}
