/**
 * Rights, in our table and in slapd's rules: what one who may not see everything gets to know, by searches, filters and compares.
 * Generated as the other cases are, asked by that one, about a tree that both administrators made.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { AccessRule } from '../../../src/directory/directory.ts';
import { beginCase, compare, count, newTally } from './case.ts';
import { check } from './many.ts';
import { UNSEEN } from './difference-searches.ts';
import { drawCompare, draws, Picker } from './generate.ts';
import { drawSearch } from './generate-search.ts';
import { Pair } from './pair.ts';
import { add, search } from './request.ts';
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

const CASES = 150;

async function startPair(): Promise<Pair> {
  const pair = await Pair.start({ account: READER, access: slapdRules(), rules: VISIBLE });
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
  return pair;
}

it('somebody with few rights learns the same with us as with slapd', async () => {
  await using pair = await startPair();
  const { theirs, ours } = await pair.clients(READER.dn, READER.password);
  const tally = newTally();
  const lists = fc.array(draws({ search: 4, compare: 1 }), { minLength: 8, maxLength: 16 });
  await check('access', CASES, tally, lists, async (list) => {
    const state = await beginCase(pair);
    tally.cases++;
    for (const { kind, picks } of list) {
      const pick = new Picker(picks);
      const asked: Asked = kind === 'compare' ? drawCompare(pick, state) : drawSearch(pick, state);
      const [slapd, own] = await Promise.all([run(theirs, asked), run(ours, asked)]);
      count(tally, asked, slapd);
      const difference = compare(asked, { slapd, ours: own });
      if (difference !== undefined)
        tally.differences.set(difference.name, (tally.differences.get(difference.name) ?? 0) + 1);
    }
  });
  expect(tally.cases).toBeGreaterThan(0);
  expect(tally.differences.get(UNSEEN.name)).toBeGreaterThan(0);
});

/** About attributes that may not be searched, with and without their names. */
const PROBES = [
  '(employeeType=hush)',
  '(employeeType=*)',
  '(employeeType=h*)',
  '(employeeType~=hush)',
  '(employeeType>=a)',
  '(employeeType:caseIgnoreMatch:=hush)',
  '(employeeType:dn:caseIgnoreMatch:=hush)',
  '(userPassword=hush)',
  '(userPassword:octetStringMatch:=hush)',
  '(:caseIgnoreMatch:=hush)',
  '(:dn:caseIgnoreMatch:=hush)',
  '(:octetStringMatch:=hush)',
  '(:caseExactMatch:=hush)',
  '(&(cn=*)(:caseIgnoreMatch:=hush))',
  '(|(cn=nobody)(:caseIgnoreMatch:=hush))',
];

it('no filter tells whether somebody has what one may not search', async () => {
  await using pair = await startPair();
  await beginCase(pair);
  const below = `ou=probed,ou=People,${HOME}`;
  const home = await pair.both((client) =>
    run(client, add(below, { objectClass: ['organizationalUnit'], ou: ['probed'] })),
  );
  expect(home.slapd.code + home.ours.code).toBe(0);
  const base = { objectClass: ['inetOrgPerson'], sn: ['same'] };
  const has = { ...base, cn: ['has'], employeeType: ['hush'], userPassword: ['hush'] };
  for (const entry of [has, { ...base, cn: ['has not'] }])
    await pair.both((client) => run(client, add(`cn=${entry.cn[0]},${below}`, entry)));
  const { theirs, ours } = await pair.clients(READER.dn, READER.password);
  for (const probe of PROBES.flatMap((text) => [text, `(!${text})`])) {
    const asked = search(probe, { base: below, scope: 'one', attributes: ['1.1'] });
    const [slapd, own] = (await Promise.all([run(theirs, asked), run(ours, asked)])).map(
      ({ code, entries }) => `${code}, ${Object.keys(entries).length} entries`,
    );
    expect({ probe, found: own }).toEqual({ probe, found: slapd });
    expect({ probe, found: own }).toEqual({ probe, found: expect.stringMatching(/^0, [02] entries$/) });
  }
});
