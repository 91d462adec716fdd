/**
 * Rights, in our table and in slapd's rules: what one who may not see everything gets to know, by searches, filters and compares.
 * Generated as the other cases are, asked by that one, about a tree that both administrators made.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { AccessRule } from '../../../src/directory/directory.ts';
import { beginCase, compare, count, newTally } from './case.ts';
import { check } from './many.ts';
import { filterHas } from './difference.ts';
import { UNCOMPARABLE } from './difference-searches.ts';
import { drawCompare, draws, Picker } from './generate.ts';
import { drawSearch } from './generate-search.ts';
import { Pair } from './pair.ts';
import { type Asked, run } from './run.ts';
import { BASE, HOME } from './vocabulary.ts';

const READER = { dn: `cn=reader,${BASE}`, password: 'reads', role: 'reader' };
/** Readable; description may only be asked for; userPassword is nobody's; a whole subtree is hidden. */
const READABLE = [
  'objectClass',
  'cn',
  'sn',
  'ou',
  'uid',
  'mail',
  'title',
  'dc',
  'entryDN',
  'member',
  'testCount',
  'employeeNumber',
  'displayName',
];
const HIDDEN = `ou=Müller\\, Söhne,${HOME}`;
const READS: AccessRule['rights'] = ['search', 'read', 'compare'];
const readable = (subtree: string, scope: 'base' | 'subtree'): AccessRule => ({
  roles: ['reader'],
  subtree,
  scope,
  attributes: READABLE,
  rights: READS,
});
const askable = (subtree: string, scope: 'base' | 'subtree'): AccessRule => ({
  ...readable(subtree, scope),
  attributes: ['description'],
  rights: ['search', 'compare'],
});
const VISIBLE: readonly AccessRule[] = [
  readable(BASE, 'base'),
  readable(READER.dn, 'base'),
  readable(HOME, 'base'),
  askable(HOME, 'base'),
  ...[`ou=People,${HOME}`, `cn=wheel,${HOME}`].flatMap((dn) => [
    readable(dn, 'subtree'),
    askable(dn, 'subtree'),
  ]),
];
const slapdRules = (): string[] => {
  const who = (right: string): string => `by dn.exact="${READER.dn}" ${right} by anonymous auth by * none`;
  return [
    'to attrs=userPassword by anonymous auth by * none',
    `to dn.subtree="${HIDDEN.replace('\\', '\\\\')}" by * none`,
    `to dn.subtree="${BASE}" attrs=entry ${who('read')}`,
    `to dn.subtree="${HOME}" attrs=description ${who('search')}`,
    `to dn.subtree="${BASE}" attrs=${READABLE.join(',')} ${who('read')}`,
    'to * by * none',
  ];
};

/**
 * An assertion without a type (RFC 4511 §4.5.1.7.7) is about all attributes: what it comes to when some may not be asked is nobody's rule.
 * We say Undefined, slapd looks at the others.
 */
const isTypeless = (asked: Asked): boolean =>
  filterHas(asked, (leaf) => leaf.kind === 'extensible' && leaf.attribute === undefined);

const CASES = 150;

it('somebody with few rights learns the same with us as with slapd', async () => {
  await using pair = await Pair.start({ account: READER, access: slapdRules(), rules: VISIBLE });
  const reader = {
    objectClass: ['device', 'simpleSecurityObject'],
    cn: ['reader'],
    userPassword: [READER.password],
  };
  const attributes = Object.entries(reader).map(([type, values]) => ({
    type,
    values: values.map((v) => Buffer.from(v)),
  }));
  await pair.both((client) => client.add(READER.dn, attributes).result);
  const { theirs, ours } = await pair.clients(READER.dn, READER.password);
  const tally = newTally();
  const lists = fc.array(draws({ search: 4, compare: 1 }), { minLength: 8, maxLength: 16 });
  await check('access', CASES, tally, lists, async (list) => {
    const state = await beginCase(pair);
    tally.cases++;
    for (const { kind, picks } of list) {
      const pick = new Picker(picks);
      const asked: Asked = kind === 'compare' ? drawCompare(pick, state) : drawSearch(pick, state);
      // slapd refuses to sort when it comes upon an entry whose key one may not see; for us that entry is not there.
      if (isTypeless(asked) || asked.orderedBy !== undefined) continue;
      const [slapd, own] = await Promise.all([run(theirs, asked), run(ours, asked)]);
      count(tally, asked, slapd);
      const difference = compare(asked, { slapd, ours: own });
      if (difference !== undefined)
        tally.differences.set(difference.name, (tally.differences.get(difference.name) ?? 0) + 1);
    }
  });
  expect(tally.cases).toBeGreaterThan(0);
  expect(tally.differences.get(UNCOMPARABLE.name)).toBeGreaterThan(0);
});
