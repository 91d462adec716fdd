/**
 * The hub as an administrator meets it: an LDIF file as source, an edge as its own process, the real command line. The tests are one
 * story and run in order.
 */
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  EdgeStatus,
  EdgeSyncStatus,
  HubStatus,
  SubscriptionDocument,
  VerifyDocument,
} from '../../src/admin/documents.ts';
import { Deployment } from '../support/deployment.ts';
import { until } from '../support/until.ts';

let site: Deployment;
let ldif: string;

function person(n: number, more = ''): string {
  return `dn: uid=u${n},ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: u${n}\ncn: U ${n}\nsn: ${n}\nmail: user.${n}@example.org\n${more}\n`;
}

async function writeSource(people: readonly string[]): Promise<void> {
  await writeFile(
    ldif,
    `${people.join('')}dn: cn=printer,dc=example,dc=org\nobjectClass: device\ncn: printer\n\n`,
  );
}

const everybody = (count = 300): string[] => Array.from({ length: count }, (_, n) => person(n));

const hub = <T>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<T> => {
  if (site.hubDaemon === undefined) throw new Error('no hub runs');
  return site.hubDaemon.control.call<T>(method, path, body);
};

async function run(body: object = {}): Promise<EdgeSyncStatus[]> {
  let last: EdgeSyncStatus[] = [];
  await site.hubDaemon?.control.stream('POST', '/v1/sync/run', body, (line) => {
    last = JSON.parse(line) as EdgeSyncStatus[];
  });
  return last;
}

const verify = async (body: object = {}): Promise<VerifyDocument> => {
  const [document, ...others] = await hub<VerifyDocument[]>('POST', '/v1/sync/verify', body);
  expect(others).toEqual([]);
  if (document === undefined) throw new Error('no edge was verified');
  return document;
};

const lookup = async (address: string): Promise<string> => {
  const path = `/v1/lookup?address=${encodeURIComponent(address)}`;
  return (await site.edgeDaemon?.control.call<{ answer: string }>('GET', path))?.answer ?? 'no answer';
};

beforeAll(async () => {
  site = await Deployment.create((folder) => {
    ldif = join(folder, 'people.ldif');
    return Promise.resolve({ source: { kind: 'ldif', path: ldif } });
  });
  await writeSource(everybody());
  await Promise.all([site.startEdge(), site.startHub()]);
});

afterAll(() => site[Symbol.asyncDispose]());

describe('before any subscription', () => {
  it('reads its source and has nothing to push', async () => {
    const status = await until(
      'the source is read',
      () => hub<HubStatus>('GET', '/v1/status'),
      ({ source }) => source.state === 'idle',
    );
    expect(status).toMatchObject({
      name: 'hub1',
      fqdn: 'hub1.localhost',
      site: 'Default-Site',
      edges: [],
      warnings: [],
      source: { kind: 'ldif', entries: 301, recipients: 300, leftOut: 1, droppedAddresses: 0 },
    });
    expect(await run()).toEqual([]);
  });

  it('a second daemon on the same folder is refused, and the first goes on', async () => {
    const second = await site.hub('hub', 'run');
    expect(second).toMatchObject({ exitCode: 7, stdout: '' });
    expect(second.stderr).toMatch(/another daemon uses .*\[daemon\.running\]/);
    expect(await hub<HubStatus>('GET', '/v1/status')).toMatchObject({ name: 'hub1' });
  });

  it('sockets and keys are for its own user only', async () => {
    for (const name of ['control.sock', 'ldapi', 'trust/identity.pem'])
      expect((await stat(join(site.hubData, name))).mode & 0o077).toBe(0);
  });

  it('an edge that does not answer, or another one, is told before anything is written', async () => {
    const file = join(site.folder, 'edge1.xml');
    await site.edgeOk('subscription', 'create', file);
    const text = await readFile(file, 'utf8');
    await site.edgeDaemon?.stop();
    const refused = await site.hub('subscription', 'import', file, '--keep');
    expect(refused.stderr).toMatch(/resolves .* does not answer.*\[connect\.failed\]/);
    const other = await site.hub('subscription', 'import', file, '--expect-fingerprint', 'ab'.repeat(32));
    expect(other).toMatchObject({ exitCode: 7 });
    expect(other.stderr).toContain('[pin.mismatch]');
    expect(await hub('GET', '/v1/subscriptions')).toEqual([]);
    expect(await readFile(file, 'utf8')).toBe(text);
    await site.startEdge();
  });
});

describe('with a subscription', () => {
  it('subscribes, deletes the file, and loads', async () => {
    await hub('POST', '/v1/domains', { domain: 'Example.ORG' });
    const file = join(site.folder, 'edge1.xml');
    const edge = await site.edgeDaemon?.control.call<EdgeStatus>('GET', '/v1/status');
    await site.hubOk('subscription', 'import', file, '--expect-fingerprint', edge?.fingerprint ?? '');
    expect(await readdir(site.folder)).not.toContain('edge1.xml');
    expect(await run()).toMatchObject([
      { edge: 'edge1', state: 'Synchronized', holdsLease: true, pushed: 300, total: 300 },
    ]);
    expect(await hub<SubscriptionDocument>('GET', '/v1/subscriptions/EDGE1')).toMatchObject({
      edge: 'edge1',
      fqdn: 'edge1.localhost',
      port: site.ldapsPort,
      phase: 'established',
      account: 'ESRA.edge1.hub1.0',
      fingerprint: edge?.fingerprint,
    });
    expect(await lookup('user.7@example.org')).toBe('known');
    expect(await lookup('nobody@example.org')).toBe('unknown');
    expect(await lookup('somebody@elsewhere.example')).toBe('notOurs');
  });

  it('verifies by content, by address and by the source', async () => {
    expect(await verify()).toMatchObject({ level: 'content', equal: true, hubCount: 300, edgeCount: 300 });
    expect(await verify({ source: true })).toMatchObject({ level: 'source', equal: true });
    expect(await verify({ address: 'USER.7@Example.org' })).toMatchObject({
      level: 'address',
      equal: true,
      hubCount: 1,
      edgeCount: 1,
    });
    expect(await verify({ address: 'nobody@example.org' })).toMatchObject({
      level: 'address',
      equal: true,
      hubCount: 0,
      edgeCount: 0,
    });
    await expect(verify({ address: 'no address' })).rejects.toMatchObject({ code: 'usage' });
  });

  it('a change of the source arrives by sync run', async () => {
    const people = everybody();
    people[7] = person(7, 'mail: seventh@example.org\n');
    people[8] = '';
    await writeSource([...people, person(1000)]);
    await run();
    expect(
      await Promise.all(['seventh', 'user.8', 'user.1000'].map((name) => lookup(`${name}@example.org`))),
    ).toEqual(['known', 'unknown', 'known']);
    expect(await verify()).toMatchObject({ equal: true, hubCount: 300, edgeCount: 300 });
  });

  it('more removals than usual wait: shown, counted as removed, kept or carried out', async () => {
    await writeSource(everybody(100));
    expect(await run()).toMatchObject([{ state: 'Synchronized', pendingRemovals: 201 }]);
    const status = await hub<HubStatus>('GET', '/v1/status');
    expect(status.warnings.map(({ code }) => code)).toEqual(['removals.pending']);
    // 200 of the first 300, and the later one; that one address went was nothing unusual.
    expect(status.edges[0]?.pendingRemovals).toBe(201);
    expect(await lookup('user.250@example.org')).toBe('known');
    expect(await verify()).toMatchObject({ equal: true, hubCount: 100, edgeCount: 100 });
    expect(await verify({ address: 'user.250@example.org' })).toMatchObject({ equal: true });
    expect(await hub('POST', '/v1/sync/approve', {})).toEqual([{ edge: 'edge1', count: 201 }]);
    expect(await lookup('user.250@example.org')).toBe('unknown');
    expect((await hub<HubStatus>('GET', '/v1/status')).warnings).toEqual([]);
  });

  it('a source that cannot be read is said, and what is there stays', async () => {
    await writeFile(ldif, 'dn: uid=u1\nthis is no LDIF\n');
    expect(await run()).toMatchObject([{ state: 'DirectoryError' }]);
    const { warnings } = await hub<HubStatus>('GET', '/v1/status');
    expect(warnings).toMatchObject([{ code: 'source.failed', severity: 'warning' }]);
    expect(await lookup('user.7@example.org')).toBe('known');
    await expect(verify({ source: true })).rejects.toMatchObject({ code: 'source.invalid' });
    await writeSource(everybody(100));
    expect(await run({ full: true })).toMatchObject([{ state: 'Synchronized' }]);
  });

  it('after a crash it goes on where it was, without the bootstrap account', async () => {
    await site.hubDaemon?.kill();
    await site.startHub();
    expect(await run()).toMatchObject([{ state: 'Synchronized', pushed: 0 }]);
    expect(site.log('hub')).not.toContain('first session');
    expect(await verify()).toMatchObject({ equal: true, hubCount: 100 });
  });

  it('after the loss of its mirror it compares, and changes nothing', async () => {
    await site.hubDaemon?.stop();
    for (const name of await readdir(join(site.hubData, 'mirror')))
      if (/^(journal|snapshot)\./.test(name)) await writeFile(join(site.hubData, 'mirror', name), 'gone');
    await site.startHub();
    expect(await run()).toMatchObject([{ state: 'Synchronized', pushed: 100, pendingRemovals: 0 }]);
    expect(await verify()).toMatchObject({ equal: true, hubCount: 100, edgeCount: 100 });
  });

  it('an edge that is away is told so; one that has lost its data is loaded again', async () => {
    await site.edgeDaemon?.stop();
    expect(await verify()).toMatchObject({ level: 'nothing', equal: false });
    expect(await run()).toMatchObject([{ state: 'NotSynchronized', holdsLease: false }]);
    await expect(hub('POST', '/v1/sync/approve', {})).rejects.toMatchObject({ code: 'refused' });
    const { warnings } = await hub<HubStatus>('GET', '/v1/status');
    expect(warnings.map(({ code }) => code)).toEqual(['edge.failing']);
    await rm(join(site.edgeData, 'directory'), { recursive: true });
    await site.startEdge();
    expect(await run()).toMatchObject([{ state: 'Synchronized', pushed: 100 }]);
    expect(await lookup('user.7@example.org')).toBe('known');
    expect(await verify()).toMatchObject({ equal: true, edgeCount: 100 });
  });

  it('a removed domain is answered for until it is approved', async () => {
    await site.hubOk('domain', 'remove', 'example.org');
    await run();
    expect(await lookup('user.7@example.org')).toBe('known');
    expect(await verify()).toMatchObject({ equal: true });
    expect(await site.hubOk('sync', 'approve')).toContain('edge1: 1 removals carried out');
    expect(await lookup('user.7@example.org')).toBe('notOurs');
  });

  it('without a source it pushes topology and domains, and takes no recipient away', async () => {
    await site.hubDaemon?.stop();
    const config = await readFile(site.hubFile, 'utf8');
    await writeFile(site.hubFile, config.slice(0, config.indexOf('[source]')));
    await site.startHub();
    await hub('POST', '/v1/domains', { domain: 'example.com' });
    expect(await run()).toMatchObject([{ edge: 'edge1', state: 'Synchronized', total: 0 }]);
    const edge = await site.edgeDaemon?.control.call<EdgeStatus>('GET', '/v1/status');
    expect(edge?.kinds).toMatchObject([
      { kind: 'recipients', entries: 100, pendingRemovals: 0, loadState: 'complete' },
      { kind: 'domains', entries: 1, loadState: 'complete' },
      { kind: 'topology', entries: 1, loadState: 'complete' },
    ]);
    expect(await verify()).toMatchObject({ level: 'nothing', equal: true });
    await expect(verify({ source: true })).rejects.toMatchObject({ code: 'refused' });
    expect(await hub<HubStatus>('GET', '/v1/status')).toMatchObject({
      source: { state: 'none' },
      warnings: [],
    });
  });

  it('shows its directory without secrets, and finds its files sound', async () => {
    const lines: string[] = [];
    await site.hubDaemon?.control.stream('POST', '/v1/directory/export', {}, (line) => lines.push(line));
    expect(lines).toContain('dn: cn=edge1,cn=Edges,cn=Default-Site,cn=Sites,cn=Postern');
    expect(lines.join('\n')).not.toMatch(/posternCredential|posternSealedKey/i);
    expect(await hub('POST', '/v1/directory/verify', {})).toMatchObject({ role: 'hub', sound: true });
    const { text } = await hub<{ text: string }>('GET', '/v1/key');
    expect(text).toContain('BEGIN POSTERN HUB');
  });

  it('removes the subscription, and ends in good order', async () => {
    const output = await site.hubOk('subscription', 'remove', 'edge1');
    expect(output).toMatch(/edge1 removed.*"postern subscription remove"/);
    expect(await hub('GET', '/v1/subscriptions')).toEqual([]);
    await expect(hub('DELETE', '/v1/subscriptions/edge1')).rejects.toMatchObject({
      code: 'subscription.unknown',
    });
    expect(await site.hubDaemon?.stop()).toBe(0);
    expect(site.log('hub')).not.toMatch(/ error /);
    expect(await readdir(site.hubData)).not.toContain('ldapi');
  });
});
