/**
 * Stolen secrets: a hub's password with another key, a resumed TLS session, certificates and statements that were tampered with. The attacker
 * has a copy of the hub's data folder.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { type ConnectionOptions, connect as tlsConnect, type TLSSocket } from 'node:tls';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Secret } from '../../src/base/secret.ts';
import { type Identity, identityOf, tlsCredentials } from '../../src/certificate/identity.ts';
import { parseCertificate } from '../../src/certificate/parse.ts';
import { stateSealingKey } from '../../src/certificate/statement.ts';
import { connectLdap, type LdapClient } from '../../src/ldap/client.ts';
import { resultCodeOf } from '../../src/ldap/client-error.ts';
import { instanceControl } from '../../src/credential/renewal-messages.ts';
import type { Control } from '../../src/ldap/message.ts';
import { hubForEdge } from '../../src/subscription/topology-objects.ts';
import { takeLease } from '../../src/sync/push/lease-keeper.ts';
import { TransactionWriter } from '../../src/sync/push/transaction-writer.ts';
import { credentialsOf, type HubCopy, openEdgeCopy, openHubCopy } from '../support/data-copy.ts';
import { Deployment } from '../support/deployment.ts';
import { control, int, seq, str, tlv } from '../support/hand-ber.ts';
import { OpenSsl } from '../support/openssl.ts';
import { makeHub } from '../support/subscription-site.ts';

const INVALID_CREDENTIALS = 49;
const parts = new AsyncDisposableStack();
let site: Deployment;
let openssl: OpenSsl;

beforeAll(async () => {
  openssl = parts.use(await OpenSsl.open());
  site = parts.use(
    await Deployment.create(async (folder) => {
      const path = join(folder, 'people.ldif');
      await writeFile(path, 'dn: cn=a\nobjectClass: person\nmail: a@example.org\n');
      // The thief below is a second instance of the hub: the real one is let in again when he is silent.
      return { source: { kind: 'ldif', path }, edge: { recovery: { quiet: '1s' } } };
    }),
  );
  await site.startEdge();
  await site.startHub();
  await site.subscribe();
  await site.hubOk('sync', 'run');
});
afterAll(() => parts.disposeAsync());

/** By hand, since our client never offers a session (RFC 4511 §4.2). */
function bindRequest(name: string, secret: string, call: Control): Buffer {
  return seq(int(1), tlv(0x60, int(3), str(name), str(secret, 0x80)), tlv(0xa0, control(call)));
}

/** resultCode of a BindResponse. */
function resultOfBind(message: Buffer): number {
  expect(message[5]).toBe(0x61);
  return message[9] ?? -1;
}

describe('with a copy of the hub', () => {
  let thief: HubCopy;
  let account: string;
  let password: Secret;
  let edgeDer: Buffer;

  beforeAll(async () => {
    await site.hubDaemon?.stop();
    thief = parts.use(await openHubCopy(site.hubData, 'hub1', 'hub1.localhost'));
    const credentials = await credentialsOf(thief, 'edge1');
    expect([...credentials.keys()]).toEqual(['ESRA.edge1.hub1.0']);
    [account, password] = [...credentials][0] ?? ['', new Secret('')];
    await using copy = await openEdgeCopy(site.edgeData, 'edge1.localhost', site.ldapsPort);
    edgeDer = copy.node.identity.certificate.der;
  });

  async function connect(identity: Identity | undefined): Promise<LdapClient> {
    const tls = identity === undefined ? undefined : tlsCredentials(identity);
    return connectLdap({
      target: { kind: 'tcp', host: '127.0.0.1', port: site.ldapsPort, tls: true },
      clock: systemClock,
      tls: {
        trust: { kind: 'pinned', verifyPeer: (der) => expect(der.equals(edgeDer)).toBe(true) },
        ...(tls === undefined ? {} : { certificate: tls.cert, key: tls.key.toString('utf8') }),
      },
    });
  }

  let calls = 0;
  const call = (): Control => instanceControl({ instance: 'fe'.repeat(16), counter: ++calls });

  async function bindResult(identity: Identity | undefined): Promise<number> {
    const client = await connect(identity);
    try {
      await client.bind(`cn=${account},cn=Accounts`, password, { controls: [call()] });
      return 0;
    } catch (error) {
      return resultCodeOf(error) ?? -1;
    } finally {
      client.destroy();
    }
  }

  /** Same key, another subject, other names, another serial number: made by openssl. */
  async function sameKeyOtherContents(name: string, { key }: Identity): Promise<Identity> {
    const keyPath = await openssl.put('same.key', key.export({ type: 'pkcs8', format: 'pem' }));
    await openssl.run(
      'req',
      '-x509',
      '-key',
      keyPath,
      '-out',
      'same.pem',
      '-days',
      '1',
      '-subj',
      `/CN=${name}/O=other`,
      '-addext',
      `subjectAltName=DNS:${name}`,
    );
    const pem = (await openssl.get('same.pem')).toString('utf8');
    const der = Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
    return identityOf(createPrivateKey(key.export({ type: 'pkcs8', format: 'pem' })), [
      parseCertificate(der),
    ]);
  }

  it("the hub's own certificate: accepted, so that the refusals below say something", async () => {
    expect(await bindResult(thief.hub.identity)).toBe(0);
  });

  it("another hub's certificate: invalidCredentials", async () => {
    expect(await bindResult((await makeHub('hub2')).hub.identity)).toBe(INVALID_CREDENTIALS);
    expect(await bindResult((await makeHub('hub1', 'hub1.localhost')).hub.identity)).toBe(
      INVALID_CREDENTIALS,
    );
    expect(site.log('edge')).toMatch(/a bind was refused .*why=/);
  });

  it('no certificate: invalidCredentials', async () => {
    expect(await bindResult(undefined)).toBe(INVALID_CREDENTIALS);
  });

  it('same key, other contents: harmless, the key is what is trusted', async () => {
    const other = await sameKeyOtherContents('somebody-else.example', thief.hub.identity);
    expect(other.pin).toBe(thief.hub.identity.pin);
    expect(await bindResult(other)).toBe(0);
  });

  it('another key in a certificate with the same contents: invalidCredentials', async () => {
    const { identity } = (await makeHub('hub1', 'hub1.localhost')).hub;
    const subject = ({ certificate }: Identity): string => new X509Certificate(certificate.der).subject;
    expect(subject(identity)).toBe(subject(thief.hub.identity));
    expect(await bindResult(identity)).toBe(INVALID_CREDENTIALS);
  });

  describe('a resumed TLS session', () => {
    const where = { host: '127.0.0.1', port: 0, rejectUnauthorized: false };
    const opened = async (options: ConnectionOptions): Promise<TLSSocket> => {
      const socket = tlsConnect({ ...where, port: site.ldapsPort, ...options });
      await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
      return socket;
    };
    const answerTo = async (socket: TLSSocket, request: Buffer): Promise<Buffer> => {
      const answer = new Promise<Buffer>((resolve) => socket.once('data', resolve));
      socket.write(request);
      return answer;
    };

    it('is not resumed, and without the certificate shown again the password is worth nothing', async () => {
      const { key, cert } = tlsCredentials(thief.hub.identity);
      const bind = bindRequest(`cn=${account},cn=Accounts`, password.revealText(), call());
      const tickets: Buffer[] = [];
      const first = await opened({ key, cert });
      first.on('session', (ticket: Buffer) => tickets.push(ticket));
      expect(resultOfBind(await answerTo(first, bind))).toBe(0);
      first.destroy();
      // OpenSSL sends tickets that name a session of the server's, who keeps none.
      const session = tickets.at(-1) ?? first.getSession();
      expect(session).toBeInstanceOf(Buffer);
      const second = await opened({ session: session as Buffer });
      expect(second.getProtocol()).toBe('TLSv1.3');
      expect(second.isSessionReused()).toBe(false);
      expect(resultOfBind(await answerTo(second, bind))).toBe(INVALID_CREDENTIALS);
      second.destroy();
    });

    it('is not resumed: so says openssl', async () => {
      const { key, cert } = tlsCredentials(thief.hub.identity);
      const files = ['-cert', await openssl.put('hub.pem', cert), '-key', await openssl.put('hub.key', key)];
      const session = openssl.path('session.pem');
      expect(await sClient(...files, '-sess_out', session)).toMatch(/^New, TLSv1\.3/m);
      expect((await stat(session)).size).toBeGreaterThan(0);
      const said = await sClient('-sess_in', session);
      expect(said).toMatch(/^New, TLSv1\.3/m);
      expect(said).not.toMatch(/^Reused/m);
    });

    /** Binds after the handshake, so that the answer comes behind any ticket, and unbinds: the server closes. */
    function sClient(...words: string[]): Promise<string> {
      const child = openssl.start('s_client', '-connect', `127.0.0.1:${site.ldapsPort}`, '-tls1_3', ...words);
      const bind = bindRequest(`cn=${account},cn=Accounts`, password.revealText(), call());
      const unbind = seq(int(2), tlv(0x42));
      let said = '';
      let asked = false;
      child.stdin?.on('error', () => undefined);
      child.stdout?.setEncoding('latin1').on('data', (text: string) => {
        said += text;
        if (asked || !said.includes('Verify return code')) return;
        asked = true;
        child.stdin?.write(Buffer.concat([bind, unbind]));
      });
      return new Promise((resolve, reject) => {
        child.once('error', reject).once('close', () => resolve(said));
      });
    }

    it('older TLS, where sessions are resumed by number: not spoken', async () => {
      await expect(
        openssl.runWith('', 's_client', '-connect', `127.0.0.1:${site.ldapsPort}`, '-tls1_2'),
      ).rejects.toThrow(/alert protocol version|wrong version/);
    });
  });

  describe('statements, pushed by the hub itself', () => {
    /** As the hub's daemon would: lease, then its own object in a transaction. */
    async function push(statement: Buffer, certificate: Buffer): Promise<void> {
      const client = await connect(thief.hub.identity);
      try {
        await client.bind(`cn=${account},cn=Accounts`, password, { controls: [call()] });
        const lease = await takeLease(
          {
            client,
            clock: systemClock,
            holder: 'hub1',
            lockMs: 60_000,
            renewBelowMs: 1000,
            onLost: () => undefined,
          },
          undefined,
        );
        const object = hubForEdge({
          name: 'hub1',
          fqdn: 'hub1.localhost',
          port: undefined,
          certificates: [certificate],
          statements: [statement],
          credentials: [],
          sealedKeys: [],
        });
        const writer = new TransactionWriter(client);
        await writer.send([{ kind: 'put', dn: object.dn, attributes: object.attributes }]);
        await writer.drained();
        await lease.stop(true);
      } finally {
        client.unbind();
      }
    }

    const stillBinds = async (): Promise<number> => bindResult(thief.hub.identity);

    it.each([
      [
        'altered in its signature',
        (good: Buffer) => Buffer.concat([good.subarray(0, -1), Buffer.from([(good.at(-1) ?? 0) ^ 1])]),
      ],
      ['by another key', () => stateSealingKeyOfAnother()],
      [
        'of another subject',
        () =>
          stateSealingKey(thief.hub.identity, Buffer.alloc(32, 7), {
            subject: 'hub2.localhost',
            issuedAt: systemClock.now(),
          }),
      ],
    ])('a sealing statement %s: harmless, it is stored and not believed', async (_what, change) => {
      const before = await trustOfEdge();
      await push(
        await change(Buffer.from(thief.node.store.value.sealingStatement)),
        thief.hub.identity.certificate.der,
      );
      expect(await stillBinds()).toBe(0);
      expect(await trustOfEdge()).toEqual(before);
    });

    async function stateSealingKeyOfAnother(): Promise<Buffer> {
      const other = (await makeHub('hub1', 'hub1.localhost')).hub.identity;
      return stateSealingKey(other, Buffer.alloc(32, 7), {
        subject: 'hub1.localhost',
        issuedAt: systemClock.now(),
      });
    }

    it('a certificate with the same key and other contents: harmless, the pin stays', async () => {
      const before = await trustOfEdge();
      const other = await sameKeyOtherContents('somebody-else.example', thief.hub.identity);
      await push(Buffer.from(thief.node.store.value.sealingStatement), other.certificate.der);
      expect(await stillBinds()).toBe(0);
      expect(await trustOfEdge()).toEqual(before);
    });

    it("a certificate with another key in the hub's object: not believed, only a statement could change the key", async () => {
      const before = await trustOfEdge();
      const { identity } = (await makeHub('hub1', 'hub1.localhost')).hub;
      await push(Buffer.from(thief.node.store.value.sealingStatement), identity.certificate.der);
      expect(await bindResult(identity)).toBe(INVALID_CREDENTIALS);
      expect(await stillBinds()).toBe(0);
      expect(await trustOfEdge()).toEqual(before);
    });

    /** What the edge trusts: hubs with pins and sealing keys, accounts. */
    async function trustOfEdge(): Promise<unknown> {
      await using copy = await openEdgeCopy(site.edgeData, 'edge1.localhost', site.ldapsPort);
      const { hubs, accounts } = copy.node.store.value;
      return { hubs, accounts: accounts.map(({ name, pin, state }) => ({ name, pin, state })) };
    }
  });

  it('the real hub mends what was pushed in its name', async () => {
    await site.startHub();
    await site.hubOk('sync', 'run');
    const object = await site.edgeOk(
      'directory',
      'search',
      '--base',
      'cn=Hubs,cn=Configuration',
      '(cn=hub1)',
      'posternCertificate',
    );
    expect(object.replaceAll('\n ', '')).toContain(thief.hub.identity.certificate.der.toString('base64'));
  });
});
