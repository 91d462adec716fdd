/** Handshakes with identities: node:tls against openssl s_client and s_server, mutual, TLS 1.3 only; and what a connection proves about its peer. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../base/clock.ts';
import { systemFiles } from '../base/files.ts';
import { systemRandom } from '../base/random.ts';
import { issued, selfSigned, SUPPORTED } from '../../test/support/foreign-identity.ts';
import { OpenSsl } from '../../test/support/openssl.ts';
import { createIdentity, type Identity, loadIdentity, tlsCredentials } from './identity.ts';
import { peerCertificate } from './peer.ts';
import { requirePin } from './pin.ts';

let tool: OpenSsl;
const identities = new Map<string, Identity>();
const KINDS = ['own', ...SUPPORTED, 'issued'] as const;
const get = (kind: string): Identity => identities.get(kind) as Identity;

beforeAll(async () => {
  tool = await OpenSsl.open();
  identities.set(
    'own',
    await createIdentity('edge1.example.com', { clock: systemClock, random: systemRandom }),
  );
  for (const kind of SUPPORTED) {
    const files = await selfSigned(tool, kind);
    identities.set(kind, await loadIdentity(systemFiles, tool.path(files.key), tool.path(files.certificate)));
  }
  const { key, certificate } = await issued(tool);
  identities.set('issued', await loadIdentity(systemFiles, tool.path(key), tool.path(certificate)));
  for (const [kind, identity] of identities) {
    await tool.put(
      `${kind}.both.pem`,
      Buffer.concat([identity.keyPem.reveal(), Buffer.from(identity.certificatePem)]),
    );
  }
});
afterAll(() => tool[Symbol.asyncDispose]());

const strict = { minVersion: 'TLSv1.3', rejectUnauthorized: false } as const;

/** A server that answers the first bytes with which pin it saw, or why it refused. */
async function serve(identity: Identity): Promise<{ server: tls.Server; port: number }> {
  const server = tls.createServer({ ...strict, ...tlsCredentials(identity), requestCert: true }, (socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      try {
        socket.end(`pin=${peerCertificate(socket)?.pin ?? 'none'}\n`);
      } catch (error) {
        socket.end(`refused=${(error as Error).message}\n`);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

async function ask(socket: tls.TLSSocket): Promise<string> {
  socket.write('?');
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}

describe.each(KINDS)('%s', (kind) => {
  test('as a server and as a client of node:tls, each sees the other’s pin', async () => {
    const { server, port } = await serve(get(kind));
    try {
      const socket = tls.connect({ ...strict, ...tlsCredentials(get('own')), port, host: '127.0.0.1' });
      await once(socket, 'secureConnect');
      expect(peerCertificate(socket)?.pin).toBe(get(kind).pin);
      expect(await ask(socket)).toBe(`pin=${get('own').pin}\n`);
      const client = tls.connect({ ...strict, ...tlsCredentials(get(kind)), port, host: '127.0.0.1' });
      expect(await ask(client)).toBe(`pin=${get(kind).pin}\n`);
    } finally {
      server.close();
    }
  });

  test('against openssl s_client, which verifies the certificate and shows its own', async () => {
    const { server, port } = await serve(get(kind));
    try {
      const trusted = kind === 'issued' ? 'root.pem' : `${kind}.both.pem`;
      const name =
        kind === 'own' ? 'edge1.example.com' : kind === 'issued' ? 'hub2.example.com' : 'hub1.example.com';
      const verify = ['-CAfile', trusted, '-verify_return_error', '-verify_hostname', name];
      const show = ['-cert', `${kind}.both.pem`, '-key', `${kind}.both.pem`];
      const output = await tool.runWith(
        '?\n',
        's_client',
        '-connect',
        `127.0.0.1:${port}`,
        '-ign_eof',
        ...verify,
        ...show,
      );
      expect(output).toContain('Verify return code: 0 (ok)');
      expect(output).toContain('New, TLSv1.3');
      expect(output).toContain(`pin=${get(kind).pin}`);
    } finally {
      server.close();
    }
  });

  test('against openssl s_server, which verifies the client', async () => {
    const trusted = kind === 'issued' ? 'root.pem' : `${kind}.both.pem`;
    const both = `${kind}.both.pem`;
    const demands = ['-Verify', '3', '-verify_return_error', '-CAfile', trusted];
    const server = tool.start(
      's_server',
      '-accept',
      '127.0.0.1:0',
      '-tls1_3',
      '-cert',
      both,
      '-key',
      both,
      '-rev',
      ...demands,
    );
    try {
      const port = await acceptedPort(server);
      const socket = tls.connect({ ...strict, ...tlsCredentials(get(kind)), port, host: '127.0.0.1' });
      await once(socket, 'secureConnect');
      expect(peerCertificate(socket)?.pin).toBe(get(kind).pin);
      socket.write('postern\n');
      const [answer] = (await once(socket, 'data')) as [Buffer];
      expect(answer.toString()).toBe('nretsop\n');
      socket.destroy();
    } finally {
      server.kill();
      await once(server, 'exit');
    }
  });
});

/** s_server prints `ACCEPT 127.0.0.1:PORT`. */
async function acceptedPort(server: ChildProcess): Promise<number> {
  let text = '';
  for await (const chunk of server.stdout ?? []) {
    text += String(chunk);
    const match = /ACCEPT 127\.0\.0\.1:(\d+)/.exec(text);
    if (match !== null) {
      server.stdout?.resume();
      return Number(match[1]);
    }
  }
  throw new Error(`s_server did not start: ${text}`);
}

test('another key in the middle is noticed before a byte is sent', async () => {
  const { server, port } = await serve(get('p-256'));
  try {
    const socket = tls.connect({ ...strict, ...tlsCredentials(get('own')), port, host: '127.0.0.1' });
    await once(socket, 'secureConnect');
    const pin = peerCertificate(socket)?.pin;
    expect(() => requirePin({ current: get('own').pin }, pin ?? get('own').pin, 'edge1')).toThrow(
      expect.objectContaining({ code: 'pin.mismatch' }),
    );
    expect(socket.bytesWritten).toBe(0);
    socket.destroy();
  } finally {
    server.close();
  }
});

test('a peer without a certificate proves nothing; a resumed session is refused', async () => {
  const { server, port } = await serve(get('own'));
  try {
    const options = { ...strict, port, host: '127.0.0.1' };
    const bare = tls.connect(options);
    expect(await ask(bare)).toBe('pin=none\n');
    const first = tls.connect({ ...options, ...tlsCredentials(get('own')) });
    const session = once(first, 'session') as Promise<[Buffer]>;
    expect(await ask(first)).toBe(`pin=${get('own').pin}\n`);
    // The ticket alone, without the key.
    const resumed = tls.connect({ ...options, session: (await session)[0] });
    await once(resumed, 'secureConnect');
    expect(resumed.isSessionReused()).toBe(true);
    expect(() => peerCertificate(resumed)).toThrow(expect.objectContaining({ code: 'tls.failed' }));
    expect(await ask(resumed)).toMatch(/^refused=the TLS session was resumed/);
  } finally {
    server.close();
  }
});
