/**
 * Attacks on a real edge daemon, each of which once worked or was close to it: by strangers, by the holder of a subscription file, by a hub
 * whose key the attacker owns, by local users. What each may do at most is the assertion.
 */
import { chmod } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeContentDigestRequest, encodeRemovalsRequest } from '../../src/ldap/postern-extended.ts';
import { POSTERN_EXTENDED } from '../../src/ldap/postern-oid.ts';
import { CONTROL, EXTENDED } from '../../src/ldap/control.ts';
import { encodeReadRequest } from '../../src/ldap/control-values.ts';
import { encodeEndTransactionRequest } from '../../src/ldap/extended-values.ts';
import { parseFilter } from '../../src/ldap/filter.ts';
import type { LdapClient } from '../../src/ldap/client.ts';
import { Secret } from '../../src/base/secret.ts';
import {
  anyHash,
  AttackedEdge,
  attributesOf,
  CLOSED,
  code,
  guid,
  makeHubNode,
  recipient,
  replaceWith,
  type RogueHub,
  type RogueSession,
  tlsSocket,
} from '../support/rogue-hub.ts';
import { Deployment } from '../support/deployment.ts';
import { SocketmapClient } from '../support/socketmap-client.ts';

const [OPERATIONS_REFUSED, BUSY, NO_RIGHT, INVALID, NO_OBJECT] = [53, 51, 50, 49, 32];

/** All of ours but who this edge is now, signed by its key: that may be asked by anybody. */
const FOR_HUBS = Object.values(POSTERN_EXTENDED).filter((oid) => oid !== POSTERN_EXTENDED.identities);

const parts = new AsyncDisposableStack();
let edge: AttackedEdge;
let hub: RogueHub;
let lookups: SocketmapClient;

beforeAll(async () => {
  edge = parts.use(await AttackedEdge.start());
  hub = await edge.hub('hub1');
  lookups = parts.use(await SocketmapClient.connect({ host: '127.0.0.1', port: edge.site.socketmapPort }));
});
afterAll(async () => {
  await parts.disposeAsync();
});

async function dns(client: LdapClient, base: string, filter = '(objectClass=*)'): Promise<string[]> {
  const found: string[] = [];
  const search = client.search(
    { base, filter: parseFilter(filter), attributes: ['*', '+'] },
    { accept: [NO_OBJECT, BUSY] },
  );
  for await (const { operation } of search)
    if (operation.op === 'searchResultEntry') found.push(operation.dn);
  return found;
}

const hubNames = async (): Promise<string> => {
  const { hubs } = await edge.daemon.control.call<{ hubs: string[] }>('GET', '/v1/subscription');
  return hubs.map((line) => line.split(' ')[0]).join();
};
const accounts = async (): Promise<string[]> =>
  (await edge.daemon.control.call<{ accounts: string[] }>('GET', '/v1/subscription')).accounts;

describe('a stranger', () => {
  it('reads the root DSE and nothing else', async () => {
    const stranger = await edge.connect();
    for (const base of ['', 'cn=Recipients', 'cn=Configuration', 'cn=Accounts', 'cn=Sync', 'cn=Subschema'])
      expect(await dns(stranger, base)).toEqual([]);
    const others = [
      stranger.add('cn=x,cn=Recipients', attributesOf({ objectClass: ['posternRecipient'] })),
      stranger.modify('cn=Recipients', [replaceWith('description', 'x')]),
      stranger.delete('cn=Recipients'),
      stranger.modifyDn('cn=Recipients', { newRdn: 'cn=x', deleteOldRdn: true }),
      stranger.compare('cn=Recipients', 'cn', Buffer.from('Recipients')),
      ...[EXTENDED.startTls, EXTENDED.startTransaction, EXTENDED.cancel, ...FOR_HUBS].map((oid) =>
        stranger.extended(oid),
      ),
    ];
    for (const { result } of others) expect(await code(result)).toBe(OPERATIONS_REFUSED);
    stranger.destroy();
  });

  it('cannot resume a TLS session, nor speak an older TLS', async () => {
    const port = edge.site.ldapsPort;
    await expect(tlsSocket(port, { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' })).rejects.toThrow(
      'protocol version',
    );
    const first = await tlsSocket(port);
    const session = await new Promise<Buffer>((resolve) => first.once('session', resolve));
    const second = await tlsSocket(port, { session });
    expect(second.isSessionReused()).toBe(false);
    first.destroy();
    second.destroy();
  });

  it('cannot fill the house for others', async () => {
    await using small = await AttackedEdge.start({ limits: { connections: 20, connections_per_source: 20 } });
    const honest = await small.hub('hub1');
    const port = small.site.ldapsPort;
    const crowd = await Promise.all(
      Array.from({ length: 20 }, () => tlsSocket(port, { localAddress: '127.0.0.9' })),
    );
    for (let n = 0; n < 3; n++) {
      const session = await honest.bindEsra();
      expect(await session.client.whoAmI()).toContain('hub1');
    }
    for (const socket of crowd) socket.destroy();
  });

  it('leaves nothing in the log of what he took for a name', async () => {
    const client = await edge.connect(hub.node);
    for (const name of ['S3cret-in-the-wrong-field', 'cn=S3cret-in-the-wrong-field,cn=Accounts'])
      expect(await code(client.bind(name, new Secret('S3cret-in-the-right-field')))).toBe(INVALID);
    client.destroy();
    expect(edge.daemon.output).toContain('a bind was refused');
    expect(edge.daemon.output).not.toContain('S3cret');
  });
});

describe('the holder of a subscription file', () => {
  it('writes topology only, and learns nothing of other places', async () => {
    const importer = await edge.importer('importer');
    using session = await importer.bindBootstrap();
    for (const dn of [
      `cn=${guid(1)},cn=Recipients`,
      'cn=x,cn=AcceptedDomains,cn=Configuration',
      'cn=Configuration',
      'cn=recipients,cn=Sync',
      'cn=x,cn=y,cn=Hubs,cn=Configuration',
      `2.5.4.3=${guid(1)},CN="Recipients"`,
    ]) {
      expect(await code(session.transaction([{ remove: dn }]))).toBeGreaterThan(0);
      expect(
        await code(
          session.transaction([
            { put: dn, attributes: { objectClass: ['posternHub'], posternFqdn: ['x.example'] } },
          ]),
        ),
      ).toBeGreaterThan(0);
      expect(
        await code(session.transaction([{ modify: dn, changes: [replaceWith('description', 'x')] }])),
      ).toBeGreaterThan(0);
    }
    expect(new Set(await dns(session.client, ''))).toEqual(
      new Set([
        // The edge's own name and signed sealing key, for files of other products.
        'cn=Configuration',
        'cn=Hubs,cn=Configuration',
        'cn=Edges,cn=Configuration',
        'cn=hub1,cn=Hubs,cn=Configuration',
        'cn=edge1,cn=Edges,cn=Configuration',
      ]),
    );
    for (const oid of FOR_HUBS) expect(await code(session.client.extended(oid).result)).toBe(NO_RIGHT);
  });

  it('gets no credential record back in any way', async () => {
    const importer = await edge.importer('reader');
    using session = await importer.bindBootstrap();
    await session.transaction(importer.topology());
    const [record] =
      importer.edgeObject.attributes.find(({ type }) => type === 'posternCredential')?.values ?? [];
    if (record === undefined) throw new Error('an import brings a record');
    const object = 'cn=edge1,cn=Edges,cn=Configuration';
    const escaped = record.toString('hex').replace(/../g, '\\$&');
    for (const filter of [
      '(posternCredential=*)',
      '(!(posternCredential=x))',
      '(:octetStringMatch:=x)',
      `(posternCredential=${escaped})`,
      '(posternSealedKey=*)',
    ])
      expect(await dns(session.client, object, filter)).toEqual([]);
    expect(
      Object.keys((await session.read(object, ['posternCredential', 'posternSealedKey', '*', '+'])) ?? {}),
    ).not.toContain('posternCredential');
    const read = [
      { oid: CONTROL.postRead, critical: true, value: encodeReadRequest(['*', 'posternCredential']) },
    ];
    const identifier = await session.begin();
    await Promise.all(
      session.gather(
        identifier,
        importer.topology().map((write) => ({ ...write, controls: read })),
      ),
    );
    const { operation } = await session.client.extended(
      EXTENDED.endTransaction,
      encodeEndTransactionRequest({ commit: true, identifier }),
    ).result;
    expect(operation.value?.includes('posternFqdn')).toBe(true);
    expect(operation.value?.includes(record)).toBe(false);
  });

  it('loses it to a newer file at once, and nothing that was under way is installed', async () => {
    const first = await edge.importer('late');
    using session = await first.bindBootstrap();
    const identifier = await session.begin();
    await Promise.all(session.gather(identifier, first.topology()));
    // The commit and the administrator's new file at the same moment: whichever comes first, the old account is gone afterwards.
    const [committed] = await Promise.all([code(session.end(identifier)), edge.file()]);
    expect([0, CLOSED]).toContain(committed);
    expect(await code(session.client.whoAmI())).toBe(CLOSED);
    expect(await code(first.bindBootstrap())).toBe(INVALID);
    const esra = await code(first.bindEsra());
    expect(esra).toBe((await hubNames()).includes('late') ? 0 : INVALID);
  });

  it('admits no certificate but its own, and no other name with it', async () => {
    const importer = await edge.importer('honest');
    const victim = await makeHubNode('victim');
    const object = (name: string, der: Buffer) => ({
      put: `cn=${name},cn=Hubs,cn=Configuration`,
      attributes: {
        objectClass: ['posternHub'],
        cn: [name],
        posternFqdn: [`${name}.localhost`],
        posternCertificate: [der],
      },
    });
    // A hub gone bad has put the newcomer's certificate under its rival's name, before the newcomer comes.
    using rogue = await hub.bindEsra();
    await rogue.lease();
    await rogue.transaction([object('rival', importer.node.identity.certificate.der)]);
    using session = await importer.bindBootstrap();
    await session.transaction([...importer.topology(), object('victim', victim.identity.certificate.der)]);
    const proved = await importer.bindEsra();
    proved.client.destroy();
    const names = (await hubNames()).split(',');
    expect(names).toContain('honest');
    expect(names).not.toContain('rival');
    expect(names).not.toContain('victim');
  });
});

describe('a hub gone bad', () => {
  let rogue: RogueSession;
  const hash = async (address: string): Promise<Buffer> => (await hub.hasher()).hash(address);
  const ask = (address: string): Promise<string> => lookups.ask('recipients', address);
  const domain = (more: Record<string, string[]> = {}) => ({
    put: 'cn=x.example,cn=AcceptedDomains,cn=Configuration',
    attributes: { objectClass: ['posternAcceptedDomain'], posternDomainKind: ['authoritative'], ...more },
  });

  beforeAll(async () => {
    // Set up anew, since the address key went with the last file.
    hub = await edge.hub('hub1');
    rogue = await hub.bindEsra();
    await rogue.lease();
    const people = await Promise.all(
      Array.from({ length: 10 }, async (_, n) => recipient(guid(n), [await hash(`u${n}@x.example`)])),
    );
    const now = new Date().toISOString().replace(/[-:T]|\..*/g, '');
    const state = (kind: string) => ({
      modify: `cn=${kind},cn=Sync`,
      changes: [replaceWith('posternLoadState', 'complete'), replaceWith('posternLastConfirmed', `${now}Z`)],
    });
    await rogue.transaction([domain(), ...people, state('recipients'), state('domains')]);
    expect([await ask('u1@x.example'), await ask('nobody@x.example')]).toEqual(['OK 1', 'NOTFOUND ']);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['another class', () => rogue.transaction([domain({ objectClass: ['posternContainer'] })])],
    ['a kind that nobody knows', () => rogue.transaction([domain({ posternDomainKind: ['bogus'] })])],
    ['a removal', () => rogue.transaction([{ remove: domain().put }])],
    [
      'a change',
      () => rogue.transaction([{ modify: domain().put, changes: [replaceWith('posternDomainKind', 'x')] }]),
    ],
  ])('takes no domain away by %s', async (_how, attack) => {
    await code(attack());
    expect([await ask('u1@x.example'), await lookups.ask('domains', 'x.example')]).toEqual([
      'OK 1',
      'OK authoritative',
    ]);
  });

  it('hides no address from the content digest', async () => {
    const secret = await hash('hidden@x.example');
    const hidden = { objectClass: ['posternRecipient'], posternAddress: [secret] };
    const attacks = [
      { put: `cn=${guid(50)},cn=${guid(1)},cn=Recipients`, attributes: hidden },
      recipient(guid(51), [], { 'posternAddress;x-a': [secret] }),
      recipient(guid(52), [secret], {
        posternPendingDelete: ['20260101000000Z'],
        posternKept: ['20260101000000Z'],
      }),
      { put: 'cn=nobody,cn=Recipients', attributes: hidden },
    ];
    for (const attack of attacks) expect(await code(rogue.transaction([attack]))).toBe(OPERATIONS_REFUSED);
    expect(await ask('hidden@x.example')).toBe('NOTFOUND ');
  });

  it('believes itself confirmed in the future under no name', async () => {
    for (const type of [
      'posternLastConfirmed',
      '2.25.166232607415017693816478881864819517156.1.24',
      'posternLastConfirmed;x-a',
    ])
      await code(
        rogue.transaction([
          { modify: 'cn=recipients,cn=Sync', changes: [replaceWith(type, '99980101000000Z')] },
        ]),
      );
    const state = await rogue.read('cn=recipients,cn=Sync');
    expect(JSON.stringify(Object.values(state ?? {}).map(String))).not.toContain('9998');
  });

  it('writes with the lease of its own connection only', async () => {
    using other = await hub.bindEsra();
    const write = [recipient(guid(60), [anyHash()])];
    expect(await code(other.transaction(write))).toBe(OPERATIONS_REFUSED);
    const { leaseId } = await rogue.lease();
    await other.lease({ leaseId: leaseId ?? Buffer.alloc(16) });
    expect([await code(other.transaction(write)), await code(rogue.transaction(write))]).toEqual([
      0,
      OPERATIONS_REFUSED,
    ]);
    // One that was begun with it and is ended without it.
    const begun = await other.begin();
    await Promise.all(other.gather(begun, write));
    await rogue.lease({ leaseId: other.leaseId ?? Buffer.alloc(16) });
    expect(await code(other.end(begun))).toBe(OPERATIONS_REFUSED);
  });

  it('keeps nobody waiting with scans', async () => {
    const scan = encodeContentDigestRequest({ kind: 'recipients', bits: 12 });
    const removals = encodeRemovalsRequest({ action: 'list', kind: 'recipients' });
    const codes = await Promise.all(
      Array.from({ length: 200 }, (_, n) =>
        code(
          rogue.client.extended(
            n % 2 === 0 ? POSTERN_EXTENDED.contentDigest : POSTERN_EXTENDED.removals,
            n % 2 === 0 ? scan : removals,
          ).result,
        ),
      ),
    );
    expect(codes).toContain(BUSY);
    expect(await ask('u1@x.example')).toBe('OK 1');
  });

  it('is out as soon as its subscription ends', async () => {
    await edge.daemon.control.call('DELETE', '/v1/subscription');
    expect(await code(rogue.client.whoAmI())).toBe(CLOSED);
    expect(await code(hub.bindEsra())).toBe(INVALID);
    expect(await accounts()).toEqual([]);
  });
});

describe('a local user', () => {
  it('finds nothing but recipients and domains without a password', async () => {
    const reader = await edge.local();
    for (const base of [
      'cn=Configuration',
      'cn=Accounts',
      'cn=Sync',
      'cn=Hubs,cn=Configuration',
      'cn=Edges,cn=Configuration',
    ])
      expect((await dns(reader, base)).filter((dn) => !dn.includes('AcceptedDomains'))).toEqual([]);
    for (const oid of FOR_HUBS) expect(await code(reader.extended(oid).result)).toBe(NO_RIGHT);
    expect(await code(reader.delete(`cn=${guid(1)},cn=Recipients`).result)).toBe(NO_RIGHT);
    reader.destroy();
  });

  it('cannot come by the data folder: the daemon does not run on one that others may write to', async () => {
    await using site = await Deployment.create();
    await chmod(site.edgeData, 0o777);
    const { exitCode, stderr } = await site.edge('edge', 'run');
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining('others may write to the data folder')]);
  });
});
