/** Searches that ask for what is there: every scope and kind of filter, selections, limits, pages, order. */
import { CONTROL } from '../../../src/ldap/control.ts';
import { encodeSortRequest } from '../../../src/ldap/control-values.ts';
import type { Control, Filter } from '../../../src/ldap/message.ts';
import { comparable, type Picker, respellDn } from './generate.ts';
import { assertion } from './generate-controls.ts';
import type { Asked } from './run.ts';
import type { Held, State } from './state.ts';
import { BASE } from './vocabulary.ts';
import { HOME, octets, respell, type TypeInfo, TYPES, WORDS } from './vocabulary.ts';

const SELECTIONS: readonly (readonly string[])[] = [
  [],
  ['*'],
  ['1.1'],
  ['cn', 'sn'],
  ['CN', 'noSuchType', 'mail'],
  ['name'],
  ['givenName'],
  ['givenName;lang-de'],
  ['cn;lang-fr', 'testIgnore'],
  ['@person'],
  ['@organizationalUnit', 'entryDN'],
  ['@noSuchClass'],
  ['*', 'entryDN', 'hasSubordinates', 'structuralObjectClass', 'subschemaSubentry'],
  ['1.1', 'cn'],
  ['2.5.4.4', 'description'],
  ['testChildAlias', 'userPassword'],
  ['*', '1.1'],
  ['objectClass'],
  ['distinguishedName', 'member'],
];

const RULES = [
  'caseExactMatch',
  '2.5.13.2',
  'caseIgnoreMatch',
  '2.5.13.5',
  'caseIgnoreSubstringsMatch',
  'integerMatch',
  'octetStringMatch',
  'distinguishedNameMatch',
];

/** A type and a value, mostly one that some entry has. */
function something(pick: Picker, state: State): { info: TypeInfo; name: string; value: string } {
  const have = comparable(pick.of(state.entries) as Held);
  const [info, list] = have.length === 0 || pick.rarely(6) ? randomType(pick) : pick.of(have);
  return { info, name: pick.of([info.name, ...(info.also ?? [])]), value: pick.of(list) };
}

function randomType(pick: Picker): [TypeInfo, readonly string[]] {
  const info = pick.of(TYPES);
  return [info, info.values];
}

const pieces = (value: string): string[] => {
  const letters = Array.from(value.trim());
  const cut = Math.ceil(letters.length / 3);
  return [letters.slice(0, cut), letters.slice(cut, 2 * cut), letters.slice(2 * cut)].map((piece) =>
    piece.join(''),
  );
};

function drawLeaf(pick: Picker, state: State): Filter {
  const { info, name, value } = something(pick, state);
  const kind = pick.number(10);
  const spelled = octets(name, respell(info.kind, value, pick.number(6)));
  if (kind === 0)
    return {
      kind: 'present',
      attribute: pick.rarely(6) ? pick.of(['noSuchType', 'objectClass', 'entryUUID', 'name']) : name,
    };
  if (kind === 1 || kind === 2) {
    const [initial = '', any = '', final = ''] = pieces(value).map((piece) =>
      respell(
        info.kind === 'ignore' ? 'ignore' : 'exact',
        piece,
        info.kind === 'ignore' ? pick.number(3) : 0,
      ),
    );
    // Parts of spaces alone are a declared difference.
    const parts = {
      initial: pick.number(2) === 0 && initial.trim() !== '',
      any: pick.number(2) === 0 && any.trim() !== '',
      final: pick.number(2) === 0 && final.trim() !== '',
    };
    if (parts.initial || parts.any || parts.final)
      return {
        kind: 'substrings',
        attribute: name,
        ...(parts.initial && { initial: Buffer.from(initial) }),
        any: parts.any ? [Buffer.from(any)] : [],
        ...(parts.final && { final: Buffer.from(final) }),
      };
  }
  if (kind === 3)
    return { kind: pick.of(['greaterOrEqual', 'lessOrEqual'] as const), attribute: name, value: spelled };
  if (kind === 4) return { kind: 'approx', attribute: name, value: spelled };
  if (kind === 5) {
    const dnAttributes = pick.number(2) === 0;
    const rule = pick.number(3) === 0 ? undefined : pick.of(RULES);
    const naming = pick.of(['ou', 'cn', 'uid', 'sn', 'dc']);
    return {
      kind: 'extensible',
      value: pick.rarely(2) ? Buffer.from(pick.of(['People', 'people', 'case', 'Bob', 'example'])) : spelled,
      dnAttributes,
      ...(rule !== undefined && { matchingRule: rule }),
      ...((rule === undefined || pick.number(4) > 0) && { attribute: pick.rarely(2) ? naming : name }),
    };
  }
  if (kind === 6)
    return {
      kind: 'equality',
      attribute: 'objectClass',
      value: Buffer.from(
        pick.of(['person', 'PERSON', 'top', '2.5.6.6', 'organizationalUnit', 'noSuchClass', 'inetOrgPerson']),
      ),
    };
  if (kind === 7)
    return { kind: 'equality', attribute: name, value: octets(name, pick.of(info.wrong ?? WORDS)) };
  return { kind: 'equality', attribute: name, value: spelled };
}

export function drawFilter(pick: Picker, state: State, level = 0): Filter {
  const kind = pick.number(level === 0 ? 5 : 8);
  if (level < 3 && kind >= 3) {
    if (pick.number(3) === 2) return { kind: 'not', filter: drawFilter(pick, state, level + 1) };
    const filters = Array.from({ length: pick.number(4) }, () => drawFilter(pick, state, level + 1));
    return { kind: pick.of(['or', 'and'] as const), filters };
  }
  return drawLeaf(pick, state);
}

export function drawSearch(pick: Picker, state: State): Asked {
  const bases = [HOME, HOME, BASE, ...state.entries.map(({ dn }) => dn)];
  const wrong = pick.rarely(12);
  const base = wrong
    ? pick.of([`ou=missing,${HOME}`, `cn=a,ou=missing,${HOME}`, 'not a name', 'o=elsewhere'])
    : respellDn(pick.of(bases), pick.number(6));
  const request = {
    op: 'searchRequest',
    base,
    scope: pick.of(['subtree', 'subtree', 'one', 'base'] as const),
    derefAliases: pick.of(['never', 'always', 'searching', 'findingBase'] as const),
    sizeLimit: 0,
    timeLimit: pick.rarely(5) ? 10 : 0,
    typesOnly: pick.rarely(6),
    filter:
      pick.number(5) === 4
        ? ({ kind: 'present', attribute: 'objectClass' } as const)
        : drawFilter(pick, state),
    attributes: pick.of(SELECTIONS),
  } as const;
  // Of two faults in one request either may be reported.
  const extra = wrong ? 0 : pick.number(10);
  if (extra === 7) return { request, pageSize: 1 + pick.number(5) };
  if (extra === 8) return sorted(pick, request);
  if (extra === 6) return { request: { ...request, sizeLimit: 1 + pick.number(6) } };
  if (extra === 9)
    return {
      request,
      controls: [pick.number(2) === 0 ? assertion('(objectClass=*)', true) : unknownControl(pick)],
    };
  return { request };
}

function unknownControl(pick: Picker): Control {
  return pick.of([
    { oid: '1.2.3.4.5.6.7', critical: false },
    { oid: CONTROL.manageDsaIT, critical: true },
    { oid: '1.2.3.4.5.6.7', critical: true },
  ]);
}

/** Attributes of which each entry has one value at most, so that there is one right order but for ties. */
const SORT_KEYS: readonly (readonly [attribute: string, rule?: string])[] = [
  ['testCount'],
  ['testCount', 'integerOrderingMatch'],
  ['2.25.329800735698586629295641978511506172918.1.2', '2.5.13.15'],
  ['employeeNumber', 'caseIgnoreOrderingMatch'],
  ['displayName', '2.5.13.3'],
];

function sorted(pick: Picker, request: Extract<Asked['request'], { op: 'searchRequest' }>): Asked {
  const [attribute, orderingRule] = pick.of(SORT_KEYS);
  const key = {
    attribute,
    reverse: pick.number(2) === 1,
    ...(orderingRule !== undefined && { orderingRule }),
  };
  const control = {
    oid: CONTROL.sortRequest,
    critical: pick.number(2) === 0,
    value: encodeSortRequest([key]),
  };
  const attributes = [...new Set([...request.attributes, attribute])].filter((name) => name !== '1.1');
  return { request: { ...request, attributes, typesOnly: false }, controls: [control], orderedBy: attribute };
}
