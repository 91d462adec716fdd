/**
 * `bench soak`: one edge under readers and a writer for as long as wanted, while its store rotates its snapshots. Every answer is checked. What is looked for is
 * memory or files that grow, and answers that are wrong, not speed.
 */
import { createHmac } from 'node:crypto';
import { systemClock } from '../src/base/clock.ts';
import { connectLdap, type LdapClient } from '../src/ldap/client.ts';
import { parseFilter } from '../src/ldap/filter.ts';
import type { Attribute } from '../src/ldap/message.ts';
import { median, type Report, round } from './report.ts';
import { type Memory, SoakEdge } from './soak/edge-process.ts';

const BASE = 'cn=Recipients';
const KEY = '202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f';
const READERS = 32;
/** People who are there all the time; those who come and go have numbers above. */
const STEADY = 20_000;
const COMING = 5000;
const IN_FLIGHT = 64;
const SAMPLES = 60;

interface Counts {
  answers: number;
  wrong: number;
  writes: number;
}

const address = (n: number): string => `user.number${n}@example.org`;
const dn = (n: number): string => {
  const hex = n.toString(16).padStart(8, '0');
  return `cn=${hex}-50a4-4000-8000-0000${hex},${BASE}`;
};
const hash = (text: string): Buffer =>
  createHmac('sha256', Buffer.from(KEY, 'hex')).update(text).digest().subarray(0, 16);

function entry(n: number): Attribute[] {
  return [
    { type: 'objectClass', values: [Buffer.from('posternRecipient')] },
    { type: 'cn', values: [Buffer.from(dn(n).slice(3, 39))] },
    { type: 'posternAddress', values: [hash(address(n))] },
    { type: 'posternRecipientKind', values: [Buffer.from('mailbox')] },
  ];
}

async function found(client: LdapClient, n: number): Promise<number> {
  let entries = 0;
  const filter = parseFilter(`(mail=${address(n)})`);
  for await (const { operation } of client.search({ base: BASE, filter, attributes: ['posternResult'] }))
    if (operation.op === 'searchResultEntry') entries++;
  return entries;
}

export async function runSoak(report: Report, { minutes }: { readonly minutes: number }): Promise<void> {
  await using edge = await SoakEdge.start(KEY);
  await using parts = new AsyncDisposableStack();
  const connect = async (target: string): Promise<LdapClient> => {
    const tls = { trust: { kind: 'pinned' as const, verifyPeer: () => undefined } };
    const client = await connectLdap({ target, clock: systemClock, tls });
    parts.defer(() => client.destroy());
    return client;
  };
  const writer = await connect(`ldaps://127.0.0.1:${edge.writerPort}`);
  await inFlight(STEADY, (n) => writer.add(dn(n), entry(n)).result);
  report.note(`${STEADY} recipients are there; ${READERS} readers and a writer for ${minutes} minutes`);

  const counts: Counts = { answers: 0, wrong: 0, writes: 0 };
  const begin = systemClock.monotonic();
  const end = begin + minutes * 60_000;
  const goOn = (): boolean => systemClock.monotonic() < end;
  const plain = `ldap://127.0.0.1:${edge.readerPort}`;
  const work = [
    ...Array.from({ length: READERS }, async (_, i) => read(await connect(plain), i, counts, goOn)),
    write(writer, await connect(plain), counts, goOn),
  ];
  const failed = Promise.all(work).then(() => undefined);
  failed.catch(() => undefined);
  const samples: Memory[] = [];
  const snapshots = new Set(edge.snapshots());
  const atStart = snapshots.size;
  const step = (minutes * 60_000) / SAMPLES;
  for (let sample = 1; sample <= SAMPLES; sample++) {
    while (systemClock.monotonic() < begin + sample * step) {
      await Promise.race([systemClock.sleep('soak', Math.min(500, step)), failed]);
      for (const name of edge.snapshots()) snapshots.add(name);
    }
    const memory = await edge.memory();
    samples.push(memory);
    const minute = round((sample * step) / 60_000);
    report.note(
      `${minute} min: RSS ${round(memory.rssMib)} MiB, heap ${round(memory.heapMib)} MiB, files ${memory.files}; ${counts.answers} answers, ${counts.wrong} wrong; ${counts.writes} writes; ${snapshots.size - atStart} snapshots`,
    );
  }
  await failed;
  tell(report, samples, counts, snapshots.size - atStart);
  if (counts.wrong > 0) throw new Error(`${counts.wrong} wrong answers`);
}

/** One question after the other; two of three about somebody who is there. */
async function read(client: LdapClient, reader: number, counts: Counts, goOn: () => boolean): Promise<void> {
  for (let n = reader * 7919; goOn(); n = (n * 31 + 17) % 1_000_003) {
    const known = n % 3 !== 0;
    const entries = await found(client, known ? n % STEADY : STEADY + COMING + (n % 100_000));
    counts.answers++;
    if (entries !== (known ? 1 : 0)) counts.wrong++;
  }
}

/** Adds and deletes again and again; what was acknowledged is asked for on another connection at once. */
async function write(
  writer: LdapClient,
  asker: LdapClient,
  counts: Counts,
  goOn: () => boolean,
): Promise<void> {
  const check = async (n: number, expected: number): Promise<void> => {
    counts.writes++;
    if (n % 16 !== 0) return;
    counts.answers++;
    if ((await found(asker, n)) !== expected) counts.wrong++;
  };
  while (goOn()) {
    await inFlight(COMING, async (i) => {
      await writer.add(dn(STEADY + i), entry(STEADY + i)).result;
      await check(STEADY + i, 1);
    });
    await inFlight(COMING, async (i) => {
      await writer.delete(dn(STEADY + i)).result;
      await check(STEADY + i, 0);
    });
  }
}

/** Carries out 0 to `count`, some at a time. */
async function inFlight(count: number, one: (n: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await one(next++);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
}

/** Growth: from the second tenth (caches are warm then) to the last. */
function tell(report: Report, samples: readonly Memory[], counts: Counts, snapshots: number): void {
  const tenth = Math.max(1, Math.floor(samples.length / 10));
  const early = samples.slice(tenth, 2 * tenth);
  const late = samples.slice(-tenth);
  const growth = (of: (memory: Memory) => number): number => median(late.map(of)) - median(early.map(of));
  report.add({ name: 'soak-rss-mib', value: median(late.map(({ rssMib }) => rssMib)), unit: 'MiB' });
  report.add({ name: 'soak-rss-growth-mib', value: growth(({ rssMib }) => rssMib), unit: 'MiB' });
  report.add({ name: 'soak-heap-growth-mib', value: growth(({ heapMib }) => heapMib), unit: 'MiB' });
  report.add({ name: 'soak-files-growth', value: growth(({ files }) => files), unit: 'files' });
  report.add({ name: 'soak-answers', value: counts.answers, unit: 'answers' });
  report.add({ name: 'soak-wrong-answers', value: counts.wrong, unit: 'answers' });
  report.add({ name: 'soak-writes', value: counts.writes, unit: 'writes' });
  report.add({ name: 'soak-snapshots', value: snapshots, unit: 'snapshots' });
}
