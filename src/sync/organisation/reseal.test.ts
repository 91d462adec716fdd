/** After a rollover nothing in the configuration directory needs a former key any more: neither this hub's, nor that of the edge. */
import { beforeEach, describe, expect, it } from 'vitest';
import { edgeObject, hubObject, type MemberHub, MemberSite } from '../../../test/support/member-site.ts';
import { makeEdge, siteRandom, type TestEdge } from '../../../test/support/subscription-site.ts';
import { createIdentity } from '../../certificate/identity.ts';
import { createSealingKeyPair } from '../../certificate/sealing.ts';
import { stateNextCertificate, stateSealingKey, verifyStatement } from '../../certificate/statement.ts';
import { claimedIssuer } from '../../certificate/statement.ts';
import {
  decodeAddressKeyRecord,
  openAddressKeyRecord,
  verifyAddressKeyRecord,
} from '../../credential/address-key.ts';
import { type HubNode, openOwnCredential, ownCredentials } from '../../credential/issue.ts';
import {
  decodeCredentialRecord,
  openCredentialRecord,
  verifyCredentialRecord,
} from '../../credential/record.ts';
import { removal } from '../../subscription/membership.ts';
import { findEdge } from '../../subscription/trust-state.ts';
import { resealChanges, type ResealFacts, resignedRemovals } from './reseal.ts';
import { usableKeys } from './site-keys.ts';

const SITE = 'Default-Site';
let site: MemberSite;
let [hub1, hub2]: MemberHub[] = [];
let edge: TestEdge;

beforeEach(async () => {
  site = new MemberSite();
  [hub1, hub2] = [await site.hub('hub1'), await site.hub('hub2')];
  edge = await makeEdge('edge1');
  await site.subscribe(first(), edge);
  await site.join(first(), second());
  await second().members.adopt(second().clock.now());
});

const first = (): MemberHub => hub1 as MemberHub;
const second = (): MemberHub => hub2 as MemberHub;

/** The hub with another identity and another sealing key, which it states. `alone`: with nothing of the former ones. */
async function rolled({ hub, node, clock }: MemberHub): Promise<{ during: HubNode; alone: HubNode }> {
  const next = await createIdentity(hub.fqdn, { clock, random: siteRandom });
  const sealing = createSealingKeyPair(siteRandom);
  const at = { subject: hub.fqdn, issuedAt: clock.now() + 1 };
  await node.store.update((draft) => ({
    ...draft,
    successions: [stateNextCertificate(hub.identity, next, at)],
    sealingStatement: stateSealingKey(next, sealing.publicKey, at),
  }));
  return {
    during: {
      ...hub,
      identity: next,
      formerPins: [hub.identity.pin],
      sealingKeys: [sealing, ...hub.sealingKeys],
    },
    alone: { ...hub, identity: next, sealingKeys: [sealing] },
  };
}

async function facts(hub: HubNode): Promise<ResealFacts> {
  const { organisation, node } = first();
  const [hubs, edges] = [await organisation.topology('Hubs'), await organisation.topology('Edges')];
  return { hubs, edges, trust: node.store.value, hub, site: SITE, base: '' };
}

async function reseal(hub: HubNode): Promise<number> {
  const changes = await resealChanges(await facts(hub));
  await site.write(...changes);
  return changes.length;
}

describe('sealing again', () => {
  it('changes nothing while nothing has rolled over', async () => {
    expect(await reseal(first().hub)).toBe(0);
  });

  it("after the hub's rollover: all that it issued is under its new key, and opens without the former one", async () => {
    const { during, alone } = await rolled(first());
    const before = await site.object(hubObject('hub1'));
    expect(ownCredentials(before.credentials, alone, 'edge1').credentials).toEqual([]);
    expect(await reseal(during)).toBe(3);
    // Done once is done.
    expect(await reseal(during)).toBe(0);

    const own = await site.object(hubObject('hub1'));
    const mine = ownCredentials(own.credentials, alone, 'edge1').credentials;
    expect(mine.map(({ kind }) => kind).sort()).toEqual(['bootstrap', 'esra']);
    const esra = mine.find(({ kind }) => kind === 'esra');
    const password = esra === undefined ? '' : (await openOwnCredential(esra, alone)).revealText();
    expect(usableKeys(own.sealedKeys, [alone.identity.pin], alone.identity.pin)).toHaveLength(1);

    // The edge opens the same password, and the same key, from what is sealed to it.
    const at = await site.object(edgeObject('edge1'));
    const keys = edge.node.store.value.sealingKeys.map((pair) => ({
      ...pair,
      publicKey: Buffer.from(pair.publicKey),
    }));
    const records = at.credentials
      .map(decodeCredentialRecord)
      .filter(({ userName }) => userName === esra?.userName);
    expect(records).toHaveLength(1);
    for (const record of records) {
      verifyCredentialRecord(record, alone.identity.pin);
      expect((await openCredentialRecord(record, keys)).revealText()).toBe(password);
    }
    const [key] = at.sealedKeys.map(decodeAddressKeyRecord);
    if (key === undefined) throw new Error('the edge has a key');
    verifyAddressKeyRecord(key, alone.identity.pin);
    expect((await openAddressKeyRecord(key, keys)).id).toBe(
      findEdge(first().node.store.value, 'edge1')?.addressKeyId,
    );
  });

  it('what was handed to another hub, and what was said of it, is under the new key, at the time it was said', async () => {
    const { during, alone } = await rolled(first());
    const before = (await site.object(hubObject('hub2'))).statements.map((bytes) =>
      verifyStatement(bytes, claimedIssuer(bytes)),
    );
    await reseal(during);
    const { sealedKeys, statements } = await site.object(hubObject('hub2'));
    const { hub } = second();
    expect(usableKeys(sealedKeys, [alone.identity.pin], hub.identity.pin)).toHaveLength(1);
    const after = statements.map((bytes) => verifyStatement(bytes, claimedIssuer(bytes)));
    const endorsed = (all: typeof after, issuer: string) =>
      all.flatMap(({ claim, issuer: by, issuedAt }) =>
        claim.kind === 'membership' && by === issuer ? [[claim.pin, issuedAt]] : [],
      );
    expect(endorsed(after, alone.identity.pin)).toEqual(endorsed(before, first().hub.identity.pin));
    expect(endorsed(after, first().hub.identity.pin)).toEqual([]);
  });

  it("after the edge's rollover: sealed to its new key, under the certificate that it shows", async () => {
    const next = await createIdentity(edge.edge.fqdn, { clock: edge.clock, random: siteRandom });
    const sealing = createSealingKeyPair(siteRandom);
    const { node } = first();
    await node.store.update((draft) => {
      const known = findEdge(draft, 'edge1');
      if (known === undefined) throw new Error('the hub knows its edge');
      const pins = { ...known.pins, next: next.pin, statedAt: 1, seenAt: 1 };
      const changed = { ...known, pins, certificate: next.certificate.der, sealingKey: sealing.publicKey };
      return { ...draft, edges: { ...draft.edges, edge1: changed } };
    });
    expect(await reseal(first().hub)).toBe(1);
    const { certificates, credentials, sealedKeys } = await site.object(edgeObject('edge1'));
    expect(certificates).toEqual([next.certificate.der]);
    const mine = credentials
      .map(decodeCredentialRecord)
      .filter(({ issuer }) => issuer === first().hub.identity.pin);
    expect(mine.map(({ sealedTo }) => sealedTo)).toEqual([next.pin]);
    for (const record of mine) await openCredentialRecord(record, sealing);
    for (const record of sealedKeys.map(decodeAddressKeyRecord)) await openAddressKeyRecord(record, sealing);
  });

  it('what somebody wrote there stays as it is, and is not signed', async () => {
    const { during } = await rolled(first());
    const junk = Buffer.from('junk');
    for (const [dn, type] of [
      [hubObject('hub1'), 'posternCredential'],
      [edgeObject('edge1'), 'posternSealedKey'],
      [hubObject('hub2'), 'posternStatement'],
    ] as const)
      await site.change(dn, 'add', type, [junk]);
    await reseal(during);
    expect((await site.object(hubObject('hub1'))).credentials).toContainEqual(junk);
    expect((await site.object(edgeObject('edge1'))).sealedKeys).toContainEqual(junk);
    expect((await site.object(hubObject('hub2'))).statements).toContainEqual(junk);
    expect(await reseal(during)).toBe(0);
  });

  it('removals are said again by the present key, at the time they were said', async () => {
    const { during } = await rolled(first());
    const said = [removal(first().hub, { fqdn: 'hub3.example', pin: second().hub.identity.pin }, 77)];
    const again = resignedRemovals(said, during);
    expect(again.map((bytes) => verifyStatement(bytes, during.identity.pin))).toMatchObject([
      { claim: { kind: 'removal', pin: second().hub.identity.pin }, issuedAt: 77 },
    ]);
    expect(resignedRemovals(again as Buffer[], during)).toBe(again);
  });
});
