/** Hubs of a site over a directory to which somebody else may write, that fails in the middle, or that shows a part of itself. */
import { beforeEach, describe, expect, it } from 'vitest';
import { edgeObject, hubObject, type MemberHub, MemberSite } from '../../../test/support/member-site.ts';
import { makeEdge, type TestEdge } from '../../../test/support/subscription-site.ts';
import { decodeAddressKeyRecord } from '../../credential/address-key.ts';
import { decodeCredentialRecord } from '../../credential/record.ts';
import { stateRemoval, verifyStatement } from '../../certificate/statement.ts';
import type { TopologyObject } from '../../subscription/topology-objects.ts';

let site: MemberSite;
let hub1: MemberHub;
let hub2: MemberHub;
let edge: TestEdge;
beforeEach(async () => {
  site = new MemberSite();
  [hub1, hub2, edge] = [await site.hub('hub1'), await site.hub('hub2'), await makeEdge('edge1')];
  await site.subscribe(hub1, edge);
});

const now = (): number => hub1.clock.now();
const edgesOf = (hub: MemberHub) => hub.organisation.edges();
const accounts = ({ credentials }: TopologyObject): string[] =>
  credentials.map((bytes) => decodeCredentialRecord(bytes).userName);
const keyOfEdge = (hub: MemberHub): string | undefined => edgesOf(hub)[0]?.addressKeyId;
const pushedHubs = async (hub: MemberHub): Promise<Map<string, Map<string, readonly Buffer[]>>> =>
  new Map(
    (await hub.organisation.target('edge1', now())).hubs.map(({ dn, attributes }) => [
      dn,
      new Map(attributes.map(({ type, values }) => [type, values as Buffer[]])),
    ]),
  );

describe('an edge that is taken on', () => {
  it.each(['0', '99999', '65536', 'x'])(
    'from an object with port %s, by the port of all edges',
    async (port) => {
      await site
        .change(edgeObject('edge1'), 'replace', 'posternPort', [Buffer.from(port)])
        .catch(() => undefined);
      await site.join(hub1, hub2);
      await hub2.members.adopt(now());
      expect(edgesOf(hub2)).toMatchObject([{ name: 'edge1', port: 50636, accountNumber: 0 }]);
      await site.change(edgeObject('edge1'), 'replace', 'posternPort', [Buffer.from('636')]);
      expect((await hub2.organisation.target('edge1', now())).address.port).toBe(636);
      expect((await hub1.organisation.target('edge1', now())).address.port).not.toBe(636);
      await hub2.members.adopt(now());
      expect(accounts(await site.object(edgeObject('edge1')))).toEqual([
        'ESRA.edge1.hub1.0',
        'ESRA.edge1.hub2.0',
      ]);
    },
  );

  it('counts once, however many copies of its object there are', async () => {
    const attributes = await site.attributes(edgeObject('edge1'));
    for (const name of ['aaa', 'bbb'])
      await site.write({
        op: 'addRequest',
        dn: edgeObject(name),
        attributes: attributes
          .filter(({ type }) => /^(objectClass|cn|postern)/i.test(type))
          .map((one) =>
            one.type.toLowerCase() === 'cn' ? { type: 'cn', values: [Buffer.from(name)] } : one,
          ),
      });
    await site.join(hub1, hub2);
    await hub2.members.adopt(now());
    await hub2.members.adopt(now());
    expect(edgesOf(hub2)).toHaveLength(1);
  });

  it('gets one account, when two looks go on at once', async () => {
    await site.join(hub1, hub2);
    await Promise.all([hub2.members.adopt(now()), hub2.members.adopt(now())]);
    expect(accounts(await site.object(hubObject('hub2')))).toEqual(['ESRA.edge1.hub2.0']);
  });

  it('is looked at again when the directory failed on the way, and no number is used twice', async () => {
    await site.join(hub1, hub2);
    for (const writesLeft of [0, 1]) {
      site.writesLeft = writesLeft;
      expect(await hub2.members.adopt(now())).toMatchObject({ adopted: [], complete: false });
    }
    site.writesLeft = Number.POSITIVE_INFINITY;
    expect(await hub2.members.adopt(now())).toMatchObject({
      adopted: [{ accountNumber: 2 }],
      complete: true,
    });
    const left = accounts(await site.object(edgeObject('edge1')));
    expect(new Set(left).size).toBe(left.length);
  });

  it('is hashed for with its new key, when its subscription was ended and made anew', async () => {
    await site.join(hub1, hub2);
    await hub2.members.adopt(now());
    const first = keyOfEdge(hub2);
    await hub1.organisation.removeSubscription('edge1');
    // This hub may look in between, or not.
    await hub2.members.adopt(now());
    expect(edgesOf(hub2)).toEqual([]);
    for (let round = 1; round <= 2; round++) {
      for (const { clock } of [edge, hub1, hub2]) await clock.advance(60_000);
      await site.subscribe(hub1, edge);
      const { gone, adopted } = await hub2.members.adopt(now());
      expect([gone.length, adopted.length]).toEqual([round - 1, 1]);
      expect(keyOfEdge(hub2)).toBe(keyOfEdge(hub1));
      expect(keyOfEdge(hub2)).not.toBe(first);
      expect(edgesOf(hub2)[0]?.accountNumber).toBe(round);
      await hub1.organisation.removeSubscription('edge1');
    }
  });

  it('is not let go because the directory shows a part of itself only', async () => {
    await site.join(hub1, hub2);
    await hub2.members.adopt(now());
    site.hidden = 'cn=Default-Site';
    await expect(hub2.members.adopt(now())).rejects.toMatchObject({ code: 'not-found' });
    site.hidden = '';
    expect(await hub2.members.adopt(now())).toMatchObject({ adopted: [], gone: [] });
    expect(edgesOf(hub2)).toMatchObject([{ accountNumber: 0 }]);
  });

  it('has its key handed to a hub that was let in while it was being subscribed', async () => {
    await site.join(hub1, hub2);
    await site.change(
      hubObject('hub2'),
      'delete',
      'posternSealedKey',
      (await site.object(hubObject('hub2'))).sealedKeys,
    );
    // Junk, and a key that names the right id for somebody else, are no reason not to hand it.
    await site.change(hubObject('hub2'), 'add', 'posternSealedKey', [
      Buffer.from('junk'),
      ...(await site.object(hubObject('hub1'))).sealedKeys,
    ]);
    await hub1.members.adopt(now());
    await hub2.members.adopt(now());
    expect(keyOfEdge(hub2)).toBe(keyOfEdge(hub1));
    await hub1.members.adopt(now());
    const ids = (await site.object(hubObject('hub2'))).sealedKeys.length;
    expect(ids).toBe(3);
    await expect(hub2.organisation.target('edge1', now())).resolves.toBeDefined();
  });
});

describe('a hub that takes edges on', () => {
  it('has its keys in its own object, whoever shows its certificate before it', async () => {
    await site.join(hub1, hub2);
    const { certificates } = await site.object(hubObject('hub2'));
    const text = (type: string, value: string) => ({ type, values: [Buffer.from(value)] });
    await site.write({
      op: 'addRequest',
      dn: hubObject('aaaa'),
      attributes: [
        text('objectClass', 'posternHub'),
        text('cn', 'aaaa'),
        text('posternFqdn', hub2.hub.fqdn),
        { type: 'posternCertificate', values: [...certificates] },
      ],
    });
    await site.change(hubObject('hub2'), 'replace', 'posternCertificate', [
      hub1.hub.identity.certificate.der,
    ]);
    await hub2.members.adopt(now());
    expect(keyOfEdge(hub2)).toBe(keyOfEdge(hub1));
    // Nor does it keep the other one from subscribing.
    await site.subscribe(hub1, await makeEdge('edge2'));
    await hub1.members.adopt(now());
    await site.change(hubObject('hub2'), 'replace', 'posternCertificate', certificates);
    await hub1.members.adopt(now());
    await hub2.members.adopt(now());
    expect(edgesOf(hub2).map(({ name }) => name)).toEqual(['edge1', 'edge2']);
  });
});

describe('a hub that is removed', () => {
  beforeEach(async () => {
    await site.join(hub1, hub2);
    await hub2.members.adopt(now());
  });
  const removal = async (): Promise<readonly Buffer[]> =>
    (await pushedHubs(hub1)).get('cn=hub1,cn=Hubs,cn=Configuration')?.get('posternStatement') ?? [];

  it('by its key, though its object shows the key of another one by now', async () => {
    const hub3 = await site.hub('hub3');
    await hub1.members.approve('hub3', hub3.hub.identity.pin, now());
    await site.change(hubObject('hub2'), 'replace', 'posternCertificate', [
      hub3.hub.identity.certificate.der,
    ]);
    expect(await hub1.members.remove('hub2', now() + 1)).toMatchObject({ pin: hub2.hub.identity.pin });
    expect(Object.keys(hub1.node.store.value.peers)).toEqual(['hub3']);
  });

  it('not by the name of an object that shows the key of a trusted one', async () => {
    await site.write({
      op: 'addRequest',
      dn: hubObject('evil'),
      attributes: (await site.attributes(hubObject('hub2')))
        .filter(({ type }) => /^(objectClass|cn|postern)/i.test(type))
        .map((one) =>
          one.type.toLowerCase() === 'cn' ? { type: 'cn', values: [Buffer.from('evil')] } : one,
        ),
    });
    await expect(hub1.members.remove('evil', now() + 1)).rejects.toMatchObject({ code: 'refused' });
    expect(Object.keys(hub1.node.store.value.peers)).toEqual(['hub2']);
  });

  it('though it has taken its object away, and the directory loses the word at once', async () => {
    await site.write({ op: 'deleteRequest', dn: hubObject('hub2') });
    await hub1.members.remove('hub2', now() + 1);
    await site.change(hubObject('hub1'), 'replace', 'posternStatement', [Buffer.from('junk')]);
    await hub1.members.adopt(now());
    expect(hub1.node.store.value.peers).toEqual({});
    expect(await removal()).toContainEqual(hub1.node.store.value.removalStatements[0]);
  });

  it('though the directory fails, or its object was stuffed so that no edge would read the word', async () => {
    const junk = Array.from({ length: 600 }, (_, n) =>
      stateRemoval(hub2.hub.identity, hub2.hub.identity.pin, { subject: 'x', issuedAt: n }),
    );
    await site.change(hubObject('hub1'), 'add', 'posternStatement', junk);
    site.writesLeft = 0;
    await expect(hub1.members.remove('hub2', now() + 1)).rejects.toMatchObject({ code: 'ldap.closed' });
    site.writesLeft = Number.POSITIVE_INFINITY;
    expect(hub1.node.store.value.peers).toEqual({});
    const pushed = await removal();
    expect(pushed.length).toBeLessThanOrEqual(16);
    expect(pushed).toContainEqual(hub1.node.store.value.removalStatements[0]);
  });

  it('is let in again by a new word, also where the old one was put back and the clock stood still', async () => {
    const before = await site.attributes(hubObject('hub2'));
    await hub1.members.remove('hub2', now() + 1);
    await site.write({
      op: 'addRequest',
      dn: hubObject('hub2'),
      attributes: before.filter(({ type }) => /^(objectClass|cn|postern)/i.test(type)),
    });
    await hub1.members.adopt(now());
    expect(hub1.node.store.value.peers).toEqual({});
    await hub1.members.approve('hub2', hub2.hub.identity.pin, now());
    await hub1.members.adopt(now());
    expect(Object.keys(hub1.node.store.value.peers)).toEqual(['hub2']);
    expect((await site.object(hubObject('hub2'))).statements.length).toBeGreaterThan(
      before.find(({ type }) => type === 'posternStatement')?.values.length ?? 0,
    );
  });
});

describe('a hub that leaves', () => {
  const nobody = (): Promise<void> => Promise.resolve();

  beforeEach(async () => {
    await site.join(hub1, hub2);
    await hub2.members.adopt(now());
    await hub1.members.adopt(now());
  });

  it('is removed by whoever reads its word, with its object and its records; its subscriptions are the site’s', async () => {
    const told: string[] = [];
    await hub1.members.leave(now(), (edges) => Promise.resolve(void told.push(...edges)));
    expect(told).toEqual(['edge1']);
    expect(edgesOf(hub1)).toEqual([]);
    await hub2.members.adopt(now());
    expect((await hub2.members.hubs()).map(({ name }) => name)).toEqual(['hub2']);
    expect(accounts(await site.object(edgeObject('edge1')))).toEqual(['ESRA.edge1.hub2.0']);
    expect(edgesOf(hub2)).toMatchObject([{ name: 'edge1' }]);
    // Its word goes to the edges with the next push.
    const pushed = await pushedHubs(hub2);
    const statements = pushed.get('cn=hub2,cn=Hubs,cn=Configuration')?.get('posternStatement') ?? [];
    const pin = hub1.hub.identity.pin;
    expect(
      statements.some((bytes) => {
        const { claim } = verifyStatement(bytes, hub2.hub.identity.pin);
        return claim.kind === 'removal' && claim.pin === pin;
      }),
    ).toBe(true);
  });

  it('takes no key with it: the edges that it had imported are pushed to, and taken on by hubs that join later', async () => {
    await hub1.members.leave(now(), nobody);
    await hub2.members.adopt(now());
    const hub3 = await site.hub('hub3');
    await site.join(hub2, hub3);
    await hub3.members.adopt(now());
    expect(edgesOf(hub3)).toMatchObject([{ name: 'edge1', addressKeyId: keyOfEdge(hub2) }]);
    for (const hub of [hub2, hub3]) await hub.organisation.target('edge1', now());
  });

  it('can be let in again, and is not removed by its old word', async () => {
    await hub1.members.leave(now(), nobody);
    await hub2.members.adopt(now());
    await hub1.organisation.ensure();
    await hub1.members.join(hub2.hub.identity.pin, now());
    await hub2.members.approve('hub1', hub1.hub.identity.pin, now());
    await hub1.members.adopt(now());
    await hub2.members.adopt(now());
    expect((await hub2.members.hubs()).map(({ name }) => name).sort()).toEqual(['hub1', 'hub2']);
    expect(accounts(await site.object(edgeObject('edge1'))).sort()).toEqual([
      'ESRA.edge1.hub1.1',
      'ESRA.edge1.hub2.0',
    ]);
  });

  it('does not leave when nobody would go on', async () => {
    const alone = await new MemberSite().hub('hub9');
    await expect(alone.members.leave(now(), nobody)).rejects.toMatchObject({ code: 'refused' });
  });

  it('is not made to leave by somebody who has no key of its own', async () => {
    const { pin } = hub1.hub.identity;
    const forged = stateRemoval(edge.node.identity, pin, { subject: hub1.hub.fqdn, issuedAt: now() });
    await site.change(hubObject('hub1'), 'add', 'posternStatement', [forged]);
    await hub2.members.adopt(now());
    expect((await hub2.members.hubs()).map(({ name }) => name).sort()).toEqual(['hub1', 'hub2']);
  });
});

describe('what goes to an edge', () => {
  it('is of nodes that are known and signed by keys that are trusted, whatever stands in the directory', async () => {
    await site.join(hub1, hub2);
    await hub2.members.adopt(now());
    const [mallory, certificate] = [await site.hub('mallory'), hub2.hub.identity.certificate.der];
    const attribute = (type: string, ...values: (string | Buffer)[]) => ({
      type,
      values: values.map((value) => Buffer.from(value)),
    });
    await site.write({
      op: 'addRequest',
      dn: hubObject('alias'),
      attributes: [
        attribute('objectClass', 'posternHub'),
        attribute('cn', 'alias'),
        attribute('posternFqdn', hub2.hub.fqdn),
        attribute('posternCertificate', certificate),
      ],
    });
    await site.change(hubObject('hub1'), 'replace', 'posternCertificate', [
      mallory.hub.identity.certificate.der,
    ]);
    const junk = Array.from({ length: 100 }, (_, n) => Buffer.from(`junk ${n}`));
    await site.change(edgeObject('edge1'), 'add', 'posternCredential', junk);
    await site.change(edgeObject('edge1'), 'add', 'posternSealedKey', junk);
    await site.change(edgeObject('edge1'), 'replace', 'posternFqdn', [Buffer.from('elsewhere.example')]);
    const hubs = await pushedHubs(hub1);
    expect([...hubs.keys()]).toEqual([
      'cn=hub1,cn=Hubs,cn=Configuration',
      'cn=hub2,cn=Hubs,cn=Configuration',
    ]);
    expect(hubs.get('cn=hub1,cn=Hubs,cn=Configuration')?.get('posternCertificate')).toEqual([
      hub1.hub.identity.certificate.der,
    ]);
    const target = await hub1.organisation.target('edge1', now());
    const values = (type: string): readonly Buffer[] =>
      target.edges[0]?.attributes.find((one) => one.type === type)?.values.map((one) => Buffer.from(one)) ??
      [];
    expect(values('posternFqdn').map(String)).toEqual([edge.edge.fqdn]);
    expect(values('posternCredential').map((one) => decodeCredentialRecord(one).userName)).toEqual([
      'ESRA.edge1.hub1.0',
      'ESRA.edge1.hub2.0',
    ]);
    expect(values('posternSealedKey').map((one) => decodeAddressKeyRecord(one).keyId)).toEqual([
      keyOfEdge(hub1),
    ]);
  });
});
