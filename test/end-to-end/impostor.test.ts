/** Somebody in between: another certificate on the edge's port, and the edge itself with another certificate for its key. */
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EdgeSyncStatus, HubStatus } from '../../src/admin/documents.ts';
import { systemClock } from '../../src/base/clock.ts';
import { tlsCredentials } from '../../src/certificate/identity.ts';
import { makeCertificate } from '../support/certificate.ts';
import { openEdgeCopy } from '../support/data-copy.ts';
import { encodeBytes } from '../../src/ldap/encode.ts';
import { encodeIdentities } from '../../src/ldap/identity-values.ts';
import { POSTERN_EXTENDED } from '../../src/ldap/postern-oid.ts';
import { Deployment } from '../support/deployment.ts';
import { OpenSsl } from '../support/openssl.ts';
import { until } from '../support/until.ts';

const parts = new AsyncDisposableStack();
let site: Deployment;
let openssl: OpenSsl;

beforeAll(async () => {
  openssl = parts.use(await OpenSsl.open());
  site = parts.use(
    await Deployment.create(async (folder) => {
      const path = join(folder, 'people.ldif');
      await writeFile(path, 'dn: cn=a\nobjectClass: person\nmail: a@example.org\n');
      return { source: { kind: 'ldif', path } };
    }),
  );
  await site.startEdge();
  await site.startHub();
});
afterAll(() => parts.disposeAsync());

async function syncStatus(): Promise<EdgeSyncStatus> {
  const document = await site.hubDaemon?.control.call<HubStatus>('GET', '/v1/status');
  const status = document?.edges[0];
  if (status === undefined) throw new Error('no edge is subscribed');
  return status;
}

/** A TLS server on the edge's port that takes any client and writes down what it gets. */
class Impostor implements AsyncDisposable {
  readonly #server: Server;
  readonly sockets = new Set<TLSSocket>();
  connections = 0;
  received = Buffer.alloc(0);

  private constructor(certificate: { key: string; certificate: string }) {
    const { key } = certificate;
    const options = { key, cert: certificate.certificate, requestCert: true, rejectUnauthorized: false };
    this.#server = createServer(options, (socket) => {
      this.sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('data', (chunk: Buffer) => {
        this.received = Buffer.concat([this.received, chunk]);
      });
    });
    this.#server.on('connection', () => this.connections++);
    // A client that leaves in the middle of the handshake, as ours should.
    this.#server.on('tlsClientError', () => undefined);
  }

  static async listen(port: number, certificate: { key: string; certificate: string }): Promise<Impostor> {
    const impostor = new Impostor(certificate);
    await new Promise<void>((resolve) => impostor.#server.listen(port, '127.0.0.1', resolve));
    return impostor;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Stops the edge, stands in its place until the hub has failed at it, and gives the place back. */
async function inItsPlace(): Promise<{ impostor: Impostor; status: EdgeSyncStatus }> {
  await site.edgeDaemon?.stop();
  const before = systemClock.now();
  const impostor = await Impostor.listen(site.ldapsPort, await makeCertificate({ name: 'edge1.localhost' }));
  try {
    const status = await until(
      'a pin mismatch',
      syncStatus,
      ({ lastAttempt, failureDetail }) =>
        (lastAttempt ?? 0) >= before && failureDetail?.includes('[pin.mismatch]') === true,
    );
    return { impostor, status };
  } finally {
    await impostor[Symbol.asyncDispose]();
    await site.startEdge();
  }
}

describe('a man in the middle with another certificate', () => {
  it('before the first session: the bootstrap account is not shown to him', async () => {
    // Imported against the real edge (an import looks at the key, too), which is gone before the hub comes back.
    const file = join(site.folder, 'edge1.xml');
    await site.edgeOk('subscription', 'create', file);
    await site.edgeDaemon?.stop();
    const refused = await (async () => {
      await using impostor = await Impostor.listen(site.ldapsPort, await makeCertificate());
      const result = await site.hub('subscription', 'import', file, '--keep');
      expect(impostor.connections).toBe(1);
      expect(impostor.received).toHaveLength(0);
      return result;
    })();
    expect(refused.stderr).toContain('[pin.mismatch]');
    expect(refused.exitCode).toBe(7);
    await site.startEdge();
    await site.hubOk('subscription', 'import', file);
    await site.hubOk('sync', 'run');
  });

  it('later: the hub asks for a word of the pinned key that leads to this one, leaves, and says why', async () => {
    const { impostor, status } = await inItsPlace();
    expect(impostor.connections).toBeGreaterThan(0);
    // The question, once or more often, and that it is not waited for any more: neither says anything of the hub.
    const said = [
      {
        op: 'extendedRequest',
        oid: POSTERN_EXTENDED.identities,
        value: encodeIdentities({ statements: [], holds: [] }),
      } as const,
      { op: 'abandonRequest', messageId: 1 } as const,
    ].map((operation, at) => encodeBytes({ messageId: 1 + at, operation, controls: [] }).toString('latin1'));
    const rest = said.reduce((text, one) => text.replaceAll(one, ''), impostor.received.toString('latin1'));
    expect(rest).toBe('');
    expect(status.failureDetail).toMatch(/is not edge edge1: its key is another/);
    expect(status.state).toBe('NotSynchronized');
    await site.hubOk('sync', 'run');
    expect((await syncStatus()).state).toBe('Synchronized');
  });

  it('once: with the right key there, the same hub does speak', async () => {
    // So that "nothing received" above says something: the recorder records.
    await site.edgeDaemon?.stop();
    await using copy = await openEdgeCopy(site.edgeData, 'edge1.localhost', site.ldapsPort);
    const { key, cert } = tlsCredentials(copy.node.identity);
    {
      await using impostor = await Impostor.listen(site.ldapsPort, {
        key: key.toString('utf8'),
        certificate: cert,
      });
      await until(
        'the question for the time, which comes before the bind',
        () => impostor.received.includes('currentTime'),
        (seen) => seen,
      );
    }
    await site.startEdge();
    await site.hubOk('sync', 'run');
  });
});

describe('the edge with another certificate for the same key', () => {
  it('harmless: the hub goes on by the key', async () => {
    await using copy = await openEdgeCopy(site.edgeData, 'edge1.localhost', site.ldapsPort);
    const keyPath = await openssl.put('edge.key', tlsCredentials(copy.node.identity).key);
    await openssl.run(
      'req',
      '-x509',
      '-key',
      keyPath,
      '-out',
      'edge.pem',
      '-days',
      '1',
      '-subj',
      '/CN=other.example',
    );
    const pem = (await openssl.get('edge.pem')).toString('utf8');
    await site.edgeDaemon?.stop();
    // A TLS proxy is not needed: whoever has the key is the edge. Its own daemon, with the other certificate.
    await writeFile(
      site.edgeFile,
      `${await site.readConfig('edge')}\n[identity]\nkey_file = "${keyPath}"\ncertificate_file = "${await openssl.put('edge-other.pem', pem)}"\n`,
    );
    await site.startEdge();
    await site.hubOk('sync', 'run');
    expect((await syncStatus()).state).toBe('Synchronized');
  });
});
