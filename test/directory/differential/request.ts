/** Requests in few words, for cases written by hand. */
import { parseFilter } from '../../../src/ldap/filter.ts';
import type { Control, SearchRequest } from '../../../src/ldap/message.ts';
import { BASE } from './vocabulary.ts';
import type { Asked } from './run.ts';
import { octets } from './vocabulary.ts';

type Values = Readonly<Record<string, readonly string[]>>;

const withControls = (controls: readonly Control[]): { controls?: readonly Control[] } =>
  controls.length === 0 ? {} : { controls };

/** Of the whole tree, no attributes, unless told otherwise. */
export function search(filter: string, more: Partial<SearchRequest> = {}, ...controls: Control[]): Asked {
  const request: SearchRequest = {
    op: 'searchRequest',
    base: BASE,
    scope: 'subtree',
    derefAliases: 'never',
    sizeLimit: 0,
    timeLimit: 0,
    typesOnly: false,
    filter: parseFilter(filter),
    attributes: ['1.1'],
    ...more,
  };
  return { request, ...withControls(controls) };
}

export function add(dn: string, attributes: Values, ...controls: Control[]): Asked {
  const list = Object.entries(attributes).map(([type, values]) => ({
    type,
    values: values.map((v) => octets(type, v)),
  }));
  return { request: { op: 'addRequest', dn, attributes: list }, ...withControls(controls) };
}

/** `replace` values of attributes; an empty list takes the attribute away. */
export function modify(
  dn: string,
  changes: readonly (readonly ['add' | 'delete' | 'replace' | 'increment', string, ...string[]])[],
  ...controls: Control[]
): Asked {
  const list = changes.map(([kind, type, ...values]) => ({
    kind,
    attribute: { type, values: values.map((v) => octets(type, v)) },
  }));
  return { request: { op: 'modifyRequest', dn, changes: list }, ...withControls(controls) };
}

export function rename(
  dn: string,
  newRdn: string,
  more: { deleteOldRdn?: boolean; newSuperior?: string } = {},
  ...controls: Control[]
): Asked {
  const { deleteOldRdn = true, newSuperior } = more;
  return {
    request: {
      op: 'modifyDnRequest',
      dn,
      newRdn,
      deleteOldRdn,
      ...(newSuperior !== undefined && { newSuperior }),
    },
    ...withControls(controls),
  };
}

export function remove(dn: string, ...controls: Control[]): Asked {
  return { request: { op: 'deleteRequest', dn }, ...withControls(controls) };
}

export function compare(dn: string, attribute: string, value: string, ...controls: Control[]): Asked {
  return {
    request: { op: 'compareRequest', dn, attribute, value: octets(attribute, value) },
    ...withControls(controls),
  };
}

export function extended(oid: string, value?: Buffer): Asked {
  return { request: { op: 'extendedRequest', oid, ...(value !== undefined && { value }) } };
}

/** A person below `ou=case`. */
export function person(cn: string, more: Values = {}): Asked {
  return add(`cn=${cn},ou=case,${BASE}`, {
    objectClass: ['inetOrgPerson', 'testThings'],
    cn: [cn],
    sn: ['S'],
    ...more,
  });
}
