/** The made-up organisation's directory, as its administrator uses it with OpenLDAP's tools. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runTool } from '../../../test/support/slapd.ts';
import { systemClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { CONTROL } from '../../ldap/control.ts';
import { ADMIN, Organisation, PEOPLE, READER } from './organisation.ts';
import { demoPerson } from './population.ts';

let folder: string;
let organisation: Organisation;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-organisation-'));
  organisation = await Organisation.start({
    folder,
    people: 5,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    signal: new AbortController().signal,
  });
});
afterAll(async () => {
  await organisation?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const as = (dn: string, password: string): string[] => [
  '-x',
  '-H',
  organisation.url,
  '-D',
  dn,
  '-w',
  password,
];
const whoAmI = (dn: string, password: string): Promise<string> => runTool('ldapwhoami', as(dn, password));

it('the administrator changes the own password, given or made; the demo goes on with the new one', async () => {
  const first = organisation.adminPassword.revealText();
  await runTool('ldappasswd', [...as(ADMIN, first), '-a', first, '-s', 'second']);
  await expect(whoAmI(ADMIN, first)).rejects.toMatchObject({ exitCode: 49 });
  expect(await whoAmI(ADMIN, 'second')).toBe(`dn:${ADMIN}\n`);
  const made = await runTool('ldappasswd', [...as(ADMIN, 'second'), ADMIN]);
  const third = /^New password: (\S+)$/m.exec(made)?.[1] ?? '';
  expect(await whoAmI(ADMIN, third)).toBe(`dn:${ADMIN}\n`);
  expect(organisation.adminPassword.revealText()).toBe(third);
  await organisation.removePerson(demoPerson(4));
});

it('nobody else does, and no other one is changed', async () => {
  const said = (text: RegExp) => ({ output: expect.stringMatching(text) as string });
  const admin = as(ADMIN, organisation.adminPassword.revealText());
  const reader = as(READER, organisation.readerPassword.revealText());
  await expect(runTool('ldappasswd', [...reader, '-s', 'x'])).rejects.toMatchObject(said(/\(50\)/));
  await expect(runTool('ldappasswd', [...reader, '-s', 'x', ADMIN])).rejects.toMatchObject(said(/\(50\)/));
  await expect(runTool('ldappasswd', [...admin, '-s', 'x', READER])).rejects.toMatchObject(said(/\(53\)/));
  await expect(runTool('ldappasswd', [...admin, '-a', 'no', '-s', 'x'])).rejects.toMatchObject(
    said(/\(49\)/),
  );
  await expect(runTool('ldappasswd', [...admin, '-s', 'x', 'no name'])).rejects.toMatchObject(said(/\(34\)/));
  expect(await whoAmI(READER, organisation.readerPassword.revealText())).toBe(`dn:${READER}\n`);
});

it('the administrator deletes a tree, the reader does not', async () => {
  const tree = ['-e', `!${CONTROL.treeDelete}`, PEOPLE];
  const reader = as(READER, organisation.readerPassword.revealText());
  await expect(runTool('ldapdelete', [...reader, ...tree])).rejects.toMatchObject({ exitCode: 50 });
  const admin = as(ADMIN, organisation.adminPassword.revealText());
  await runTool('ldapdelete', [...admin, ...tree]);
  const left = await runTool('ldapsearch', [...admin, '-LLL', '-b', 'dc=example,dc=org', '1.1']);
  expect(left.match(/^dn:/gm)).toHaveLength(1);
});
