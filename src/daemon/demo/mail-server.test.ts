/** The demo's questions against servers that answer wrong: what is wrong must be found. */
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { Directory } from '../../directory/directory.ts';
import { DirectoryServer } from '../../directory/server.ts';
import { createMemoryStore } from '../../directory/store/store.ts';
import { LdapListener } from '../../ldap/server.ts';
import { measureChanges } from './changes.ts';
import { MailServer } from './mail-server.ts';
import type { Organisation } from './organisation.ts';
import { tourQuestions, wrongAnswers } from './questions.ts';
import { SocketmapClient } from './socketmap-client.ts';

const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanup.splice(0).toReversed()) await clean();
});

/** Answers each request with what `reply` makes of it, raw. */
async function socketmapServer(reply: (request: string) => string): Promise<number> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('data', (chunk) => {
      for (const [, request = ''] of chunk.toString().matchAll(/\d+:([^,]*),/g)) socket.write(reply(request));
    });
    socket.on('error', () => undefined);
  });
  await new Promise<void>((listening) => void server.listen(0, '127.0.0.1', listening));
  cleanup.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((closed) => server.close(closed));
  });
  return (server.address() as { port: number }).port;
}

/** An edge's LDAP door to a directory without anything in it: no recipients, no domains. */
async function emptyDirectory(): Promise<number> {
  const options = { clock: systemClock, random: systemRandom, log: silentLog };
  const directory = new Directory({
    ...options,
    store: createMemoryStore(),
    contexts: ['cn=Recipients', 'cn=Configuration'],
    indexes: [],
    access: { secrets: [], rules: [{ roles: ['*'], subtree: '', rights: ['search', 'read'] }] },
  });
  const add = (dn: string, cn: string) => ({
    request: {
      op: 'addRequest' as const,
      dn,
      attributes: [
        { type: 'objectClass', values: [Buffer.from('posternContainer')] },
        { type: 'cn', values: [Buffer.from(cn)] },
      ],
    },
  });
  await directory.apply([
    add('cn=Recipients', 'Recipients'),
    add('cn=Configuration', 'Configuration'),
    add('cn=AcceptedDomains,cn=Configuration', 'AcceptedDomains'),
  ]);
  const server = new DirectoryServer({ directory });
  const listener = new LdapListener({
    ...options,
    address: { host: '127.0.0.1', port: 0 },
    accept: server.accept,
  });
  await listener.start();
  cleanup.push(
    () => directory.close(),
    () => listener.stop(),
  );
  return listener.port;
}

async function mailServer(reply: (request: string) => string): Promise<MailServer> {
  const server = await MailServer.connect(
    { socketmap: await socketmapServer(reply), ldap: await emptyDirectory() },
    systemClock,
  );
  cleanup.push(() => server[Symbol.dispose]());
  return server;
}

describe('an edge that answers wrong', () => {
  it('is found out, question by question', async () => {
    const server = await mailServer(() => '4:OK 1,');
    const answered = [];
    for (const question of tourQuestions()) answered.push(await server.answer(question));
    const wrong = wrongAnswers(answered);
    for (const { asked, expected, searches } of tourQuestions()) {
      const found = wrong.filter((sentence) => sentence.startsWith(`${asked} (`)).join();
      expect(found.includes('over socketmap')).toBe(expected !== 'known');
      expect(found.includes('over LDAP')).toBe(expected === 'known' && searches.length > 0);
    }
  });

  it('is found out among many', async () => {
    const server = await mailServer((request) =>
      request === 'recipients 7@x.example' ? '9:NOTFOUND ,' : '4:OK 1,',
    );
    const addresses = Array.from({ length: 500 }, (_none, n) => `${n}@x.example`);
    expect((await server.askMany('ask', addresses, 'known')).wrong).toEqual(['7@x.example']);
    expect((await server.askMany('search', addresses, 'unknown')).wrong).toEqual([]);
    expect((await server.askMany('search', addresses, 'known')).wrong).toEqual(addresses);
  });

  it('is found out when a change could show nothing', async () => {
    const server = await mailServer(() => '4:OK 1,');
    const changes = measureChanges({
      organisation: {} as Organisation,
      mailServer: server,
      people: 100,
      clock: systemClock,
      signal: new AbortController().signal,
    });
    await expect(changes).rejects.toThrow('is known before a person is added');
  });

  it('is found out when it hangs up', async () => {
    const server = await mailServer(() => '9:NOTFOUND ,');
    const question = server.ask('recipients', 'a@x.example');
    server[Symbol.dispose]();
    await expect(question).rejects.toThrow('closed the connection');
    await expect(server.ask('recipients', 'a@x.example')).rejects.toThrow('closed the connection');
  });
});

describe('the socketmap client', () => {
  it('reads replies however they arrive', async () => {
    let n = 0;
    const port = await socketmapServer(() => (n++ === 0 ? '4:O' : 'K 1,9:NOTFOUND ,'));
    using client = await SocketmapClient.connect(port);
    const replies = Promise.all([client.ask('recipients', 'a'), client.ask('recipients', 'b')]);
    expect(await replies).toEqual(['OK 1', 'NOTFOUND ']);
  });

  it('refuses what is no netstring', async () => {
    using client = await SocketmapClient.connect(await socketmapServer(() => 'HTTP/1.1 400 Bad Request'));
    await expect(client.ask('recipients', 'a')).rejects.toThrow('no netstring');
  });

  it('says when nobody answers', async () => {
    const port = await socketmapServer(() => '');
    for (const clean of cleanup.splice(0)) await clean();
    await expect(SocketmapClient.connect(port)).rejects.toThrow('no socketmap server answers');
  });
});
