/** From a real slapd to the mirror: feed, mapping, mirror and follower together. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { fakeRandom } from '../../test/fakes/random.ts';
import { type Slapd, type SlapdOptions, startSlapd } from '../../test/support/slapd.ts';
import { systemClock } from '../base/clock.ts';
import { systemFiles } from '../base/files.ts';
import { silentLog } from '../base/log.ts';
import { systemRandom } from '../base/random.ts';
import { Secret } from '../base/secret.ts';
import { normaliseAddress } from '../directory/address/address.ts';
import { SourceFollower } from './follow.ts';
import { attributesOf, createMapper } from './mapping/mapping.ts';
import { MAPPING_PRESETS, mappingIdentity, type MappingRules } from './mapping/preset.ts';
import type { Mirror } from './mirror/mirror.ts';
import { openMirror } from './mirror/open-mirror.ts';
import { unpackRecipient } from './recipient.ts';
import { openLdapFeed } from './source/openldap.ts';

const BASE = 'dc=example,dc=org';
const rules = MAPPING_PRESETS['inetorgperson'] as MappingRules;

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(options: SlapdOptions): Promise<Slapd> {
  const slapd = await startSlapd({ syncprov: true, ...options });
  cleanups.push(() => slapd[Symbol.asyncDispose]());
  return slapd;
}

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-follow-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

interface Hub {
  readonly mirror: Mirror;
  readonly follower: SourceFollower;
  stop(): Promise<void>;
}

async function startHub(slapd: Slapd, folder: string, extra: readonly string[] = []): Promise<Hub> {
  const mirror = await openMirror({
    folder,
    files: systemFiles,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
  });
  const feed = openLdapFeed({
    url: slapd.url,
    startTls: false,
    trust: { kind: 'authorities' },
    bindDn: `uid=hub,${BASE}`,
    password: () => Promise.resolve(new Secret('hub')),
    base: BASE,
    filter: '(|(objectClass=inetOrgPerson)(objectClass=groupOfNames))',
    attributes: [...attributesOf(rules), ...extra],
    mapping: mappingIdentity(rules),
    clock: systemClock,
  });
  const follower = new SourceFollower({
    feed,
    mirror,
    map: createMapper(rules, normaliseAddress),
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    pollEveryMs: 3_600_000,
  });
  const stop = async (): Promise<void> => {
    await follower.stop();
    await mirror.close();
  };
  cleanups.push(stop);
  return { mirror, follower, stop };
}

const HUB = `dn: uid=hub,${BASE}\nobjectClass: account\nobjectClass: simpleSecurityObject\nuid: hub\nuserPassword: hub\n\n`;

function person(uid: string, ...lines: string[]): string {
  return [
    `dn: uid=${uid},${BASE}`,
    'objectClass: inetOrgPerson',
    `cn: ${uid}`,
    'sn: x',
    ...lines,
    '',
    '',
  ].join('\n');
}

/** What the mirror holds, one line a recipient. */
function inMirror(mirror: Mirror): string[] {
  const lines: string[] = [];
  mirror.visit(0, Number.POSITIVE_INFINITY, (_id, _guid, packed) => {
    const { kind, addresses } = unpackRecipient(packed);
    lines.push(`${kind} ${addresses.join(' ')}`);
  });
  return lines.sort();
}

/** The same, from what ldapsearch says. */
async function inSlapd(slapd: Slapd): Promise<string[]> {
  const output = await slapd.search('(mail=*)', 'objectClass', 'mail');
  return output
    .split('\n\n')
    .filter((record) => record.startsWith('dn:'))
    .map((record) => {
      const mails = [...record.matchAll(/^mail: (.*)$/gm)].map(([, mail]) => (mail ?? '').toLowerCase());
      return `${record.includes('groupOfNames') ? 'group' : 'user'} ${mails.sort().join(' ')}`;
    })
    .sort();
}

test.each([
  ['present phases', true as const],
  ['delete phases', { sessionlog: 1000 }],
])('the mirror equals the directory after any changes, stops and crashes (%s)', async (_name, syncprov) => {
  const random = fakeRandom('directory changes');
  const pick = (n: number): number => Math.floor(random.fraction() * n);
  const slapd = await start({ ldif: HUB, syncprov });
  const folder = await temporaryFolder();
  let hub = await startHub(slapd, folder);
  const uids: string[] = [];
  let made = 0;

  /** One random change, as LDIF. */
  const change = (): string => {
    const dice = pick(10);
    const at = pick(uids.length);
    const uid = uids[at];
    if (uid === undefined || dice < 4) {
      const fresh = `u${made++}`;
      uids.push(fresh);
      const mails = Array.from({ length: pick(3) }, (_, n) => `mail: ${fresh}.${n}@Example.org`);
      return person(fresh, ...mails).replace('\n', '\nchangetype: add\n');
    }
    const dn = `dn: uid=${uid},${BASE}\n`;
    if (dice < 6) {
      uids.splice(at, 1);
      return `${dn}changetype: delete\n\n`;
    }
    if (dice < 7) {
      const renamed = `r${made++}`;
      uids[at] = renamed;
      return `${dn}changetype: modrdn\nnewrdn: uid=${renamed}\ndeleteoldrdn: 1\n\n`;
    }
    if (dice < 8) return `${dn}changetype: modify\nreplace: description\ndescription: ${made++}\n\n`;
    if (dice < 9) return `${dn}changetype: modify\nreplace: mail\n\n`;
    return `${dn}changetype: modify\nreplace: mail\nmail: new${made++}@example.org\nmail: ${uid}@example.org\n\n`;
  };
  const changes = (count: number): string => Array.from({ length: count }, change).join('');

  for (let round = 0; round < 8; round++) {
    await slapd.modify(changes(15));
    hub.follower.start();
    await hub.follower.runNow({ full: round % 4 === 3 });
    expect(inMirror(hub.mirror)).toEqual(await inSlapd(slapd));
    // While it is followed.
    await slapd.modify(changes(10));
    if (round % 3 === 1) {
      await slapd.kill();
      await slapd.start();
    }
    await hub.follower.runNow({ full: false });
    const expected = await inSlapd(slapd);
    expect(inMirror(hub.mirror)).toEqual(expected);
    expect(hub.follower.status).toMatchObject({
      state: 'live',
      recipients: expected.length,
      entries: uids.length,
    });
    // While nobody looks.
    if (round % 2 === 0) {
      await hub.stop();
      await slapd.modify(changes(15));
      hub = await startHub(slapd, folder);
      expect(hub.mirror.size).toBe(expected.length);
    }
  }
});

test('a refresh that is cut removes nothing, whatever was missing in it', async () => {
  const people = Array.from({ length: 3000 }, (_, n) =>
    person(`p${n}`, `mail: p${n}@example.org`, `description: ${'x'.repeat(6000)}`),
  ).join('');
  const slapd = await start({ ldif: HUB + people });
  const hub = await startHub(slapd, await temporaryFolder(), ['description']);
  hub.follower.start();
  await hub.follower.runNow({ full: true });
  expect(hub.mirror.size).toBe(3000);
  const { position } = hub.mirror;

  await slapd.modify(`dn: uid=p0,${BASE}\nchangetype: modify\nreplace: mail\nmail: changed@example.org\n`);
  const cut = Promise.withResolvers<void>();
  let removed = 0;
  hub.mirror.subscribe({
    onChanges: (all) => void (removed += all.filter(({ after }) => after === undefined).length),
    onPosition: () => undefined,
    room: () => cut.promise,
  });
  const full = hub.follower.runNow({ full: true }).catch((error: unknown) => error);
  await slapd.kill();
  cut.resolve();
  expect(await full).toMatchObject({ code: 'source.unavailable' });
  expect([removed, hub.mirror.size]).toEqual([0, 3000]);
  expect(hub.mirror.cookie).toBeDefined();
  expect(hub.follower.status).toMatchObject({ state: 'failed', failure: expect.stringContaining('source') });

  await slapd.start();
  await hub.follower.runNow({ full: true });
  expect([removed, hub.mirror.size]).toEqual([0, 3000]);
  expect(inMirror(hub.mirror)).toContain('user changed@example.org');
  expect(hub.mirror.position.sequence).toBeGreaterThan(position.sequence);
});

test('after access rules were widened, what was never delivered is fetched', async () => {
  const access = [
    'to attrs=userPassword by anonymous auth by * none',
    `to dn.exact="uid=secret,${BASE}" by dn.exact="uid=hub,${BASE}" none by * read`,
    'to * by * read',
  ];
  const people = ['a', 'b', 'secret'].map((uid) => person(uid, `mail: ${uid}@example.org`)).join('');
  const slapd = await start({ ldif: HUB + people, access });
  const folder = await temporaryFolder();
  const before = await startHub(slapd, folder);
  before.follower.start();
  await before.follower.runNow({ full: false });
  expect(inMirror(before.mirror)).toEqual(['user a@example.org', 'user b@example.org']);
  await before.stop();

  await slapd.stop();
  const configuration = join(slapd.folder, 'slapd.conf');
  const text = await readFile(configuration, 'utf8');
  await writeFile(configuration, text.replace(/^access to dn.exact.*$/m, ''));
  await slapd.start();
  await slapd.modify(`dn: uid=a,${BASE}\nchangetype: modify\nreplace: description\ndescription: touched\n`);
  const after = await startHub(slapd, folder);
  const first = after.follower.runNow({ full: false }).catch((error: unknown) => error);
  after.follower.start();
  expect(await first).toMatchObject({ code: 'source.incomplete' });
  await after.follower.runNow({ full: false });
  expect(inMirror(after.mirror)).toEqual([
    'user a@example.org',
    'user b@example.org',
    'user secret@example.org',
  ]);
});
