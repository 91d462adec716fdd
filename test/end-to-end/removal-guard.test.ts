/**
 * A source that suddenly, completely and correctly answers with fewer entries must not turn into 550 for everybody: wrong filter,
 * changed access rule, emptied directory, removed domain. One story in order, on a real slapd.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EdgeStatus, HubStatus } from '../../src/admin/documents.ts';
import { Deployment } from '../support/deployment.ts';
import { type Slapd, startSlapd } from '../support/slapd.ts';
import { SocketmapClient } from '../support/socketmap-client.ts';
import { until } from '../support/until.ts';

const PEOPLE = 300;
const BASE = 'ou=people,dc=example,dc=org';
const READER = 'cn=postern,dc=example,dc=org';
const parts = new AsyncDisposableStack();
let slapd: Slapd;
let site: Deployment;
let socketmap: SocketmapClient;

const numbers = (from: number, to = PEOPLE): number[] =>
  Array.from({ length: to - from }, (_, n) => from + n);
const addresses = (from: number, to = PEOPLE): string[] =>
  numbers(from, to).flatMap((n) => [`u${n}@example.org`, `u${n}@example.net`]);
const people = (from: number, to = PEOPLE): string =>
  numbers(from, to)
    .map(
      (n) =>
        `dn: uid=u${n},${BASE}\nobjectClass: inetOrgPerson\nuid: u${n}\ncn: u${n}\nsn: x\nmail: u${n}@example.org\nmail: u${n}@example.net\n`,
    )
    .join('\n');
const CONTAINER = `dn: ${BASE}\nobjectClass: organizationalUnit\nou: people\n`;
const ACCOUNT = `dn: ${READER}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: postern\nuserPassword: reader\n`;

beforeAll(async () => {
  slapd = parts.use(
    await startSlapd({
      ldif: [CONTAINER, ACCOUNT, people(0)].join('\n'),
      syncprov: true,
      limits: [`dn.exact="${READER}" size=unlimited time=unlimited`],
    }),
  );
  site = parts.use(
    await Deployment.create(async (folder) => {
      const passwordFile = join(folder, 'source.password');
      await writeFile(passwordFile, 'reader\n', { mode: 0o600 });
      return {
        source: {
          kind: 'openldap',
          url: slapd.url,
          base: BASE,
          bind_dn: READER,
          password_file: passwordFile,
        },
      };
    }),
  );
  await site.startEdge();
  await site.startHub();
  await site.hubOk('domain', 'add', 'example.org');
  await site.hubOk('domain', 'add', 'example.net');
  await site.subscribe();
  await site.hubOk('sync', 'run');
  socketmap = parts.use(await SocketmapClient.connect({ host: '127.0.0.1', port: site.socketmapPort }));
});
afterAll(() => parts.disposeAsync());

/** The distinct replies to a list of addresses. */
async function replies(asked: readonly string[]): Promise<string[]> {
  for (const address of asked) socketmap.socket.write(SocketmapClient.request('recipients', address));
  return [...new Set(await socketmap.replies(asked.length))];
}

const edgeStatus = async (): Promise<EdgeStatus> =>
  JSON.parse((await site.edge('status', '--json')).stdout) as EdgeStatus;

async function pending(kind = 'recipients'): Promise<number> {
  return (await edgeStatus()).kinds.find((one) => one.kind === kind)?.pendingRemovals ?? -1;
}

/** Both sides name what is held back, and the way on; exit code 3. */
async function expectHeldBack(count: number): Promise<void> {
  await until('the removals to be held back', pending, (now) => now === count);
  const edge = await site.edge('status');
  expect(edge.stdout).toContain('[removals.pending]');
  expect(edge.stdout).toContain('postern sync approve');
  expect(edge.exitCode).toBe(3);
  const hub = await site.hub('status', '--json');
  expect(hub.exitCode).toBe(3);
  const { edges, warnings } = JSON.parse(hub.stdout) as HubStatus;
  expect(edges[0]?.pendingRemovals).toBe(count);
  const verified = await site.hub('sync', 'verify');
  expect(verified.stdout).toMatch(
    new RegExp(`the removal of ${count} \\w+ waits for "postern sync approve"`),
  );
  expect(warnings.map(({ code }) => code)).toContain('removals.pending');
}

async function configureSource(change: (text: string) => string): Promise<void> {
  await site.hubDaemon?.stop();
  await writeFile(site.hubFile, change(await site.readConfig('hub')));
  await site.startHub();
  await site.hubOk('sync', 'run');
}

describe('removals', () => {
  it('a few are carried out at once', async () => {
    for (const n of [0, 1, 2]) await slapd.modify(`dn: uid=u${n},${BASE}\nchangetype: delete\n`);
    await until(
      'the last of them',
      () => replies(addresses(0, 3)),
      (answer) => answer.join() === 'NOTFOUND ',
    );
    expect(await replies(addresses(3))).toEqual(['OK 1']);
    expect(await pending()).toBe(0);
    expect((await site.edge('status')).exitCode).toBe(0);
  });

  describe('a wrong filter', () => {
    it('everybody goes on being answered, and the removals wait', async () => {
      await configureSource((text) =>
        text.replace('[source]', '[source]\nfilter = "(cn=nobody has this name)"'),
      );
      await expectHeldBack(PEOPLE - 3);
      expect(await replies(addresses(3))).toEqual(['OK 1']);
      expect(await replies(['nobody@example.org'])).toEqual(['NOTFOUND ']);
      expect(await site.edgeOk('lookup', 'u7@example.org')).toMatch(/removal|held back|pending/);
    });

    it('rejected: they are kept, and nobody is asked again', async () => {
      expect(await site.hubOk('sync', 'reject')).toMatch(
        new RegExp(`edge1: ${PEOPLE - 3} removals rejected`),
      );
      expect(await pending()).toBe(0);
      expect(await replies(addresses(3))).toEqual(['OK 1']);
      await site.hubOk('sync', 'run', '--full');
      expect(await pending()).toBe(0);
      expect(await replies(addresses(3))).toEqual(['OK 1']);
    });

    it('mended: everything is as it was', async () => {
      await configureSource((text) => text.replace('filter = "(cn=nobody has this name)"\n', ''));
      expect(await pending()).toBe(0);
      expect(await replies(addresses(3))).toEqual(['OK 1']);
      await site.hubOk('sync', 'verify', '--source');
      // What was confirmed again can be removed again: no mark has stayed.
      await slapd.modify(`dn: uid=u3,${BASE}\nchangetype: delete\n`);
      await until(
        'the removal',
        () => replies(addresses(3, 4)),
        (answer) => answer.join() === 'NOTFOUND ',
      );
    });
  });

  describe('an access rule that hides everybody', () => {
    it('everybody goes on being answered, and the removals wait', async () => {
      await slapd.stop();
      await slapd.configure(`access to dn.children="${BASE}" by * none`, 'access to * by * read');
      await slapd.start();
      await site.hubOk('sync', 'run', '--full');
      await expectHeldBack(PEOPLE - 4);
      expect(await replies(addresses(4))).toEqual(['OK 1']);
    });

    it('taken back: the marks go by themselves', async () => {
      await slapd.stop();
      await slapd.withoutLines(/^access to dn\.children/);
      await slapd.start();
      await site.hubOk('sync', 'run', '--full');
      expect(await pending()).toBe(0);
      expect(await replies(addresses(4))).toEqual(['OK 1']);
      await site.hubOk('sync', 'verify');
      expect((await site.hub('status')).exitCode).toBe(0);
    });
  });

  describe('addresses taken from everybody', () => {
    it('wait as well, and come back with the source', async () => {
      const without = numbers(4, 104).map(
        (n) => `dn: uid=u${n},${BASE}\nchangetype: modify\ndelete: mail\nmail: u${n}@example.net\n`,
      );
      await slapd.stop();
      // All at once, as a script on the server would: the hub sees one refresh, not a hundred changes.
      await site.hubDaemon?.stop();
      await slapd.start();
      await slapd.modify(without.join('\n'));
      await site.startHub();
      await site.hubOk('sync', 'run');
      expect(await pending()).toBeGreaterThanOrEqual(100 - (PEOPLE - 4) / 5);
      const answers = await replies(numbers(4, 104).map((n) => `u${n}@example.net`));
      expect(answers).toContain('OK 1');
      expect(await replies(numbers(4, 104).map((n) => `u${n}@example.org`))).toEqual(['OK 1']);
      await slapd.modify(without.join('\n').replaceAll('delete: mail', 'add: mail'));
      await until(
        'the addresses',
        () => replies(addresses(4)),
        (answer) => answer.join() === 'OK 1',
      );
      await until('no marks', pending, (count) => count === 0);
    });
  });

  describe('an emptied directory', () => {
    it('everybody goes on being answered, and the removals wait', async () => {
      await slapd.stop();
      await slapd.empty();
      await slapd.loadLdif(
        `dn: dc=example,dc=org\nobjectClass: dcObject\nobjectClass: organization\no: x\ndc: example\n\n${CONTAINER}\n${ACCOUNT}`,
      );
      await slapd.start();
      await site.hubOk('sync', 'run', '--full');
      await expectHeldBack(PEOPLE - 4);
      expect(await replies(addresses(4))).toEqual(['OK 1']);
    });

    it('approved: they are gone, and the edge equals the source', async () => {
      expect(await site.hubOk('sync', 'approve')).toMatch(
        new RegExp(`edge1: ${PEOPLE - 4} removals carried out`),
      );
      expect(await replies(addresses(0))).toEqual(['NOTFOUND ']);
      expect(await pending()).toBe(0);
      expect(await site.hubOk('sync', 'verify', '--source')).toMatch(
        /edge1: equal .* 0 entries there, 0 here/,
      );
    });

    it('filled again: everybody is back', async () => {
      await slapd.add(people(0));
      await until(
        'everybody',
        () => replies(addresses(0)),
        (answer) => answer.join() === 'OK 1',
      );
      await site.hubOk('sync', 'verify');
    });
  });

  describe('a domain', () => {
    it('always waits when it is removed', async () => {
      await site.hubOk('domain', 'remove', 'example.net');
      await until(
        'the removal to be held back',
        () => pending('domains'),
        (count) => count === 1,
      );
      expect(await socketmap.ask('domains', 'example.net')).toBe('OK authoritative');
      expect(await replies(addresses(0))).toEqual(['OK 1']);
      expect((await site.edge('status')).exitCode).toBe(3);
    });

    it('is removed when that is approved', async () => {
      await site.hubOk('sync', 'approve');
      expect(await socketmap.ask('domains', 'example.net')).toBe('NOTFOUND ');
      expect(await replies(['u5@example.net'])).toEqual(['NOTFOUND ']);
      expect(await replies(['u5@example.org'])).toEqual(['OK 1']);
      expect((await site.edge('status')).exitCode).toBe(0);
      await site.hubOk('sync', 'verify');
    });
  });
});
