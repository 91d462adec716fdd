/**
 * kill -9 at random moments of a load, of the edge and of the hub, always on the same data folders. After each kill the edge's
 * directory must be what some transaction left, never half of one; in the end the load completes and verify proves equality.
 *
 * Every recipient has an address that stays and one that changes with each generation of the source. The seed is in the names of
 * the tests; POSTERN_SEED=... runs the same moments again (as far as machines repeat themselves).
 */
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EdgeStatus, EdgeSyncStatus, VerifyDocument } from '../../src/admin/documents.ts';
import { systemClock } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
import { LdifReader, type LdifRecord } from '../../src/ldap/ldif.ts';
import { DigestSum, entryHash } from '../../src/sync/content-digest.ts';
import { guidBytes } from '../../src/sync/recipient.ts';
import { fakeRandom } from '../fakes/random.ts';
import { openHubCopy } from '../support/data-copy.ts';
import { Deployment } from '../support/deployment.ts';
import { SocketmapClient } from '../support/socketmap-client.ts';
import { until } from '../support/until.ts';

const PEOPLE = 2000;
const ROUNDS = 5;
const KILLS_A_ROUND = 10;
/** So many kills in a row, at most, before a load may complete. */
const MOST_IN_A_ROW = 4;
const SEED = process.env['POSTERN_SEED'] ?? systemRandom.bytes(4).toString('hex');
/** Makes an entry of the source larger, so that it is read in several pieces. */
const FILLER = 'x'.repeat(400);

/** Nobody, somebody, everybody on the edge is as the source has him. */
type Left = 'before' | 'inside' | 'after';

const random = fakeRandom(SEED);
const parts = new AsyncDisposableStack();
let site: Deployment;
let generation = 0;
/** How long an undisturbed load, its part from the first recipient to the last, and the start of a hub take here. */
let loadMs = 0;
let pushMs = 0;
let hubStartMs = 0;
/** Where the kills fell, by what they left on the edge. */
const seen = { edge: new Map<Left, number>(), hub: new Map<Left, number>() };
let hash: (address: string) => Buffer;
let digestKey: Buffer;
/** Permanent addresses by GUID, and what changing addresses hash to. */
const permanent = new Map<string, string>();
const generationOf = new Map<string, number>();
/** Once complete, the addresses that stay must never be refused. */
let everComplete = false;

const guidOf = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;

/** The source as of a generation, put in place at once. Every other one lacks the last tenth. */
async function writeSource(to: number): Promise<void> {
  generation = to;
  const people = to % 4 === 3 ? PEOPLE * 0.9 : PEOPLE;
  const text = Array.from(
    { length: people },
    (_, n) =>
      `dn: cn=${n}\nobjectClass: inetOrgPerson\nentryUUID: ${guidOf(n)}\ndescription: ${FILLER}\nmail: p${n}@example.org\nmail: p${n}-g${to}@example.org\n`,
  ).join('\n');
  await writeFile(join(site.folder, 'people.new'), text);
  await rename(join(site.folder, 'people.new'), join(site.folder, 'people.ldif'));
  for (let n = 0; n < people; n++) generationOf.set(hash(`p${n}-g${to}@example.org`).toString('latin1'), to);
}

beforeAll(async () => {
  site = parts.use(
    await Deployment.create((folder) =>
      Promise.resolve({
        source: { kind: 'ldif', path: join(folder, 'people.ldif') },
        // Each generation takes an address from everybody, which is no accident here.
        edge: { removal_guard: { most: 1_000_000_000, percent: 100 } },
      }),
    ),
  );
  await site.startEdge();
  // No source yet: the first load is disturbed as well.
  await site.startHub();
  await site.hubOk('domain', 'add', 'example.org');
  await site.subscribe();
  await until('the credentials', edgeStatus, ({ kinds }) =>
    kinds.some(({ kind, loadState }) => kind === 'domains' && loadState === 'complete'),
  );
  await using copy = await openHubCopy(site.hubData, 'hub1', 'hub1.localhost');
  ({ hash, digestKey } = await copy.organisation.target('edge1', systemClock.now()));
  for (let n = 0; n < PEOPLE; n++) permanent.set(guidOf(n), hash(`p${n}@example.org`).toString('latin1'));
});
afterAll(() => parts.disposeAsync());

function edgeStatus(): Promise<EdgeStatus> {
  return control('edge').call<EdgeStatus>('GET', '/v1/status');
}

function control(role: 'edge' | 'hub') {
  const daemon = role === 'edge' ? site.edgeDaemon : site.hubDaemon;
  if (daemon === undefined) throw new Error(`no ${role}`);
  return daemon.control;
}

/** Begins `sync run`, and resolves to the last it says; a daemon that dies ends it, too. */
async function syncRun(): Promise<EdgeSyncStatus | undefined> {
  let last: EdgeSyncStatus | undefined;
  const onLine = (line: string): void => {
    last = (JSON.parse(line) as EdgeSyncStatus[])[0];
  };
  await control('hub')
    .stream('POST', '/v1/sync/run', {}, onLine)
    .catch(() => undefined);
  return last;
}

async function complete(): Promise<void> {
  const last = await syncRun();
  expect(last).toMatchObject({ state: 'Synchronized', pendingRemovals: 0 });
  const [verified] = await control('hub').call<VerifyDocument[]>('POST', '/v1/sync/verify', {});
  expect(verified).toMatchObject({ equal: true, level: 'content', differenceCount: 0 });
  expect(await examine()).toBe('after');
  everComplete = true;
}

/** A moment of something that takes `ms`: mostly inside, sometimes a little after. */
const someMoment = (ms: number): Promise<void> =>
  systemClock.sleep('kill.moment', random.fraction() * ms * 1.1);

/** Begins a load and waits for a moment of it: of the whole, or of the part in which recipients arrive. */
async function intoALoad(): Promise<void> {
  void syncRun();
  if (random.fraction() < 0.5) return someMoment(loadMs);
  await using client = await SocketmapClient.connect({ host: '127.0.0.1', port: site.socketmapPort });
  await arrived(client, 0);
  return someMoment(pushMs);
}

function arrived(client: SocketmapClient, n: number): Promise<string> {
  const address = `p${n}-g${generation}@example.org`;
  return until(
    address,
    () => client.ask('recipients', address),
    (answer) => answer === 'OK 1',
    1,
  );
}

async function exported(): Promise<LdifRecord[]> {
  const reader = new LdifReader();
  const records: LdifRecord[] = [];
  await control('edge').stream('POST', '/v1/directory/export', {}, (line) =>
    records.push(...reader.push(Buffer.from(`${line}\n`))),
  );
  return [...records, ...reader.end()].filter(({ dn }) => dn !== '');
}

/** Looks at the edge while nobody writes to it, and says how far the load had come. */
async function examine(): Promise<Left> {
  const records = await exported();
  const values = (record: LdifRecord | undefined, type: string): readonly Buffer[] =>
    record?.attributes.find((attribute) => attribute.type.toLowerCase() === type.toLowerCase())?.values ?? [];
  const state = records.find(({ dn }) => dn.toLowerCase() === 'cn=recipients,cn=sync');
  const loadState = values(state, 'posternLoadState')[0]?.toString() ?? '';
  const entries = records
    .filter(({ dn }) => /^cn=[^,]+,cn=recipients$/i.test(dn))
    .map((record) => ({ guid: values(record, 'cn')[0]?.toString() ?? '', record }))
    .sort((a, b) => (a.guid < b.guid ? -1 : 1));
  let current = 0;
  // Every entry is whole: the address that stays, and one of some generation.
  for (const { guid, record } of entries) {
    const addresses = values(record, 'posternAddress').map((value) => value.toString('latin1'));
    expect(addresses).toHaveLength(2);
    expect(addresses).toContain(permanent.get(guid));
    const generations = addresses.flatMap((address) => generationOf.get(address) ?? []);
    expect(generations).toHaveLength(1);
    if (generations[0] === generation) current++;
    expect(values(record, 'posternPendingDelete')).toEqual([]);
  }
  if (loadState === 'none') return 'before';
  // The digest goes with the data: of everything when complete; else of those who were visited, in the order of the source.
  const count = Number(values(state, 'posternEntryCount')[0]?.toString());
  const stored = values(state, 'posternContentDigest')[0];
  const sum = new DigestSum();
  for (const { guid, record } of entries.slice(0, count))
    sum.add(entryHash(digestKey, guidBytes(guid) ?? Buffer.alloc(16), record.attributes));
  expect(
    sum.toBytes().equals(stored ?? Buffer.alloc(0)),
    `digest of ${count} of ${entries.length} entries, ${loadState}`,
  ).toBe(true);
  if (loadState === 'complete') expect(entries.length).toBe(count);
  await using client = await SocketmapClient.connect({ host: '127.0.0.1', port: site.socketmapPort });
  for (const { guid } of [entries.at(0), entries.at(-1)].filter((entry) => entry !== undefined))
    expect(await client.ask('recipients', `p${Number(guid.slice(-12))}@example.org`)).toBe('OK 1');
  if (everComplete) expect(await client.ask('recipients', 'p7@example.org')).toBe('OK 1');
  expect(await client.ask('recipients', 'nobody@example.org')).toMatch(
    loadState === 'complete' ? /^NOTFOUND / : /^TEMP /,
  );
  return current === 0 ? 'before' : current < entries.length || loadState !== 'complete' ? 'inside' : 'after';
}

function count(role: 'edge' | 'hub', left: Left): void {
  seen[role].set(left, (seen[role].get(left) ?? 0) + 1);
}

/** The hub is held still meanwhile, so that what is looked at is what the crash has left. */
async function killEdge(): Promise<void> {
  await intoALoad();
  await site.edgeDaemon?.kill();
  site.hubDaemon?.signal('SIGSTOP');
  try {
    await site.startEdge();
    count('edge', await examine());
  } finally {
    site.hubDaemon?.signal('SIGCONT');
  }
}

async function killHub(inARow: number): Promise<void> {
  if (inARow === 0) {
    await intoALoad();
    await site.hubDaemon?.kill();
  } else {
    // It goes on with the load by itself, so it may have to die before it has said that it is there.
    const dead = new AbortController();
    const start = site.startHub(dead.signal).catch(() => undefined);
    await someMoment(hubStartMs + loadMs);
    dead.abort();
    await (await start)?.kill();
  }
  // What was under way on the dead connection is over when the edge has noticed.
  await until('the connection of the hub to end', edgeStatus, ({ lease }) => lease.state !== 'held');
  count('hub', await examine());
}

/** Kills many times, in several loads, each of which completes in the end. */
async function killMany(
  kill: (inARow: number) => Promise<void>,
  restart: () => Promise<unknown>,
): Promise<void> {
  for (let kills = 0; kills < KILLS_A_ROUND; ) {
    await writeSource(generation + 1);
    const most = 1 + Math.floor(random.fraction() * MOST_IN_A_ROW);
    for (let n = 0; n < most && kills < KILLS_A_ROUND; n++, kills++) await kill(n);
    await restart();
    await complete();
  }
}

describe(`kill -9, seed ${SEED}`, () => {
  it('two undisturbed loads, the second for the measure', async () => {
    await writeSource(1);
    await complete();
    await site.hubDaemon?.stop();
    const begun = systemClock.monotonic();
    await site.startHub();
    hubStartMs = systemClock.monotonic() - begun;
    await complete();
    await using client = await SocketmapClient.connect({ host: '127.0.0.1', port: site.socketmapPort });
    await writeSource(2);
    const loading = systemClock.monotonic();
    const run = syncRun();
    await arrived(client, 0);
    const first = systemClock.monotonic();
    // Generation 2 has everybody.
    await arrived(client, PEOPLE - 1);
    pushMs = systemClock.monotonic() - first;
    loadMs = systemClock.monotonic() - loading;
    await run;
    await complete();
  });

  const rounds = Array.from({ length: ROUNDS }, (_, at) => at + 1);

  it.each(rounds)(`of the edge, ${KILLS_A_ROUND} times, round %i`, () =>
    killMany(killEdge, () => Promise.resolve()),
  );

  it.each(rounds)(`of the hub, ${KILLS_A_ROUND} times, round %i`, () =>
    killMany(killHub, () => site.startHub()),
  );

  it.each(['edge', 'hub'] as const)('the kills of the %s fell into loads', (role) => {
    expect(seen[role].get('inside') ?? 0).toBeGreaterThan(0);
  });

  it('both daemons have closed their stores in good order in the end', async () => {
    expect(await site.hubDaemon?.stop()).toBe(0);
    expect(await site.edgeDaemon?.stop()).toBe(0);
    await site.startEdge();
    await site.startHub();
    await complete();
    expect((await site.edge('directory', 'verify')).exitCode).toBe(0);
    expect((await site.hub('directory', 'verify')).exitCode).toBe(0);
  });
});
