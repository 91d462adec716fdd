/** `sync verify` proves content: what was changed on the edge behind everybody's back is found, named, and mended by a full run. */
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { VerifyDocument } from '../../src/admin/documents.ts';
import { Deployment } from '../support/deployment.ts';
import { changeEdgeStore } from '../support/edge-store.ts';
import { SocketmapClient } from '../support/socketmap-client.ts';
import { until } from '../support/until.ts';

const PEOPLE = 400;
const parts = new AsyncDisposableStack();
let site: Deployment;

const guidOf = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;

beforeAll(async () => {
  site = parts.use(
    await Deployment.create(async (folder) => {
      const path = join(folder, 'people.ldif');
      const entries = Array.from(
        { length: PEOPLE },
        (_, n) =>
          `dn: cn=${n}\nobjectClass: inetOrgPerson\nentryUUID: ${guidOf(n)}\nmail: u${n}@example.org\n`,
      );
      await writeFile(path, entries.join('\n'));
      return { source: { kind: 'ldif', path } };
    }),
  );
  await site.startEdge();
  await site.startHub();
  await site.hubOk('domain', 'add', 'example.org');
  await site.subscribe();
  await site.hubOk('sync', 'run');
});
afterAll(() => parts.disposeAsync());

/** Waits until the hub has come back to the edge: before that there is nobody to ask. */
async function verify(...words: string[]): Promise<VerifyDocument & { exitCode: number }> {
  return until(
    'verify to reach the edge',
    async () => {
      const { stdout, exitCode } = await site.hub('sync', 'verify', '--json', ...words);
      const [document] = JSON.parse(stdout) as VerifyDocument[];
      return { ...(document as VerifyDocument), exitCode };
    },
    ({ level }) => level !== 'nothing',
  );
}

async function ask(address: string): Promise<string> {
  await using client = await SocketmapClient.connect({ host: '127.0.0.1', port: site.socketmapPort });
  return await client.ask('recipients', address);
}

describe('sync verify', () => {
  it('an edge as it should be', async () => {
    expect(await verify()).toMatchObject({
      exitCode: 0,
      equal: true,
      level: 'content',
      hubCount: PEOPLE,
      edgeCount: PEOPLE,
    });
  });

  it('names an altered, a missing and an added entry, though cookie and stored digest are as before', async () => {
    await site.edgeDaemon?.stop();
    await changeEdgeStore(site.edgeData, (guids) => {
      expect(guids).toHaveLength(PEOPLE);
      return [
        {
          request: {
            op: 'modifyRequest',
            dn: `cn=${guidOf(7)},cn=Recipients`,
            changes: [
              {
                kind: 'replace',
                attribute: { type: 'posternRecipientKind', values: [Buffer.from('group')] },
              },
            ],
          },
        },
        {
          request: {
            op: 'modifyRequest',
            dn: `cn=${guidOf(8)},cn=Recipients`,
            changes: [
              { kind: 'replace', attribute: { type: 'posternAddress', values: [Buffer.alloc(16, 9)] } },
            ],
          },
        },
        { request: { op: 'deleteRequest', dn: `cn=${guidOf(9)},cn=Recipients` } },
        {
          request: {
            op: 'addRequest',
            dn: `cn=${guidOf(PEOPLE)},cn=Recipients`,
            attributes: [
              { type: 'objectClass', values: [Buffer.from('posternRecipient')] },
              { type: 'cn', values: [Buffer.from(guidOf(PEOPLE))] },
              { type: 'posternAddress', values: [Buffer.alloc(16, 8)] },
              { type: 'posternRecipientKind', values: [Buffer.from('user')] },
            ],
          },
        },
      ];
    });
    await site.startEdge();
    const result = await verify();
    expect(result).toMatchObject({ exitCode: 1, equal: false, level: 'content', differenceCount: 4 });
    expect(new Map(result.differences.map(({ guid, what }) => [guid, what]))).toEqual(
      new Map([
        [guidOf(7), 'altered'],
        [guidOf(8), 'altered'],
        [guidOf(9), 'missing'],
        [guidOf(PEOPLE), 'unexpected'],
      ]),
    );
    expect(result.differences.find(({ guid }) => guid === guidOf(8))?.addresses).toEqual(['u8@example.org']);
    const text = await site.hub('sync', 'verify');
    expect(text.stdout).toContain(guidOf(7));
    expect(text.stdout).toMatch(/NOT equal/);
    expect(text.stdout).toMatch(/sync run --full/);
    // What the damage does, so that this is no play with numbers.
    expect(await ask('u8@example.org')).toBe('NOTFOUND ');
    expect(await ask('u9@example.org')).toBe('NOTFOUND ');
  });

  it('of one address: only where it is altered', async () => {
    expect(await verify('u8@example.org')).toMatchObject({ exitCode: 1, equal: false, level: 'address' });
    expect(await verify('U10@example.org')).toMatchObject({
      exitCode: 0,
      equal: true,
      level: 'address',
      detail: 'the recipient of u10@example.org is stored there exactly as it is here',
    });
    const { detail } = await verify('u10@elsewhere.example');
    expect(detail).toMatch(/is no recipient, .* but elsewhere\.example is no accepted domain/);
  });

  it('an ordinary run sees nothing to do: only content tells', async () => {
    await site.hubOk('sync', 'run');
    expect((await verify()).equal).toBe(false);
  });

  it('sync run --full mends it', async () => {
    await site.hubOk('sync', 'run', '--full');
    expect(await verify()).toMatchObject({ exitCode: 0, equal: true, hubCount: PEOPLE, edgeCount: PEOPLE });
    expect(await ask('u8@example.org')).toBe('OK 1');
    expect(await ask('u9@example.org')).toBe('OK 1');
  });

  it('with --source, what the source has not told yet is part of the proof', async () => {
    // The file is newer than the mirror, and nothing but this has a reason to look at it before the next poll.
    const path = join(site.folder, 'people.ldif');
    const text = await readFile(path, 'utf8');
    await writeFile(
      `${path}.new`,
      `${text}\ndn: cn=new\nobjectClass: inetOrgPerson\nmail: new@example.org\n`,
    );
    await rename(`${path}.new`, path);
    expect(await verify()).toMatchObject({ level: 'content', equal: true, hubCount: PEOPLE });
    expect(await verify('--source')).toMatchObject({
      level: 'source',
      equal: true,
      hubCount: PEOPLE + 1,
      edgeCount: PEOPLE + 1,
    });
    expect(await ask('new@example.org')).toBe('OK 1');
  });
});

describe('a lost data folder', () => {
  it('of the edge: a first load again, no new subscription', async () => {
    await site.edgeDaemon?.stop();
    await rm(join(site.edgeData, 'directory'), { recursive: true });
    await site.startEdge();
    expect(await ask('u1@example.org')).toMatch(/^TEMP /);
    await site.hubOk('sync', 'run');
    expect((await verify()).exitCode).toBe(0);
    expect(await ask('u1@example.org')).toBe('OK 1');
  });

  it("of the hub's mirror: compared, and nobody is refused meanwhile", async () => {
    await site.hubDaemon?.stop();
    await rm(join(site.hubData, 'mirror'), { recursive: true });
    await site.startHub();
    expect(await ask('u1@example.org')).toBe('OK 1');
    await site.hubOk('sync', 'run');
    expect((await verify()).exitCode).toBe(0);
  });
});
