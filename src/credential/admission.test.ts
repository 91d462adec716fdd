/** Which hubs an edge lets in, and whose address key it takes. */
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  CredentialSite,
  issueTo,
  makeNode,
  objectOf,
  peerOf,
  random,
  reasons,
  START,
  DAY,
} from '../../test/support/credential-site.ts';
import { stateMembership, stateRemoval } from '../certificate/statement.ts';
import { createAddressKey, createAddressKeyRecord } from './address-key.ts';
import type { HubObject } from './admission.ts';
import { findHub } from './credential-state.ts';
import { withoutHub } from './edge-pairs.ts';
import type { HubNode } from './issue.ts';

let hub: HubNode;
let second: HubNode;
let mallory: HubNode;
let edge: HubNode;
let otherEdge: HubNode;
let site: CredentialSite;
const arrive: CredentialSite['arrive'] = (...args) => site.arrive(...args);
const issue = (from: HubNode, number?: number, effectiveAt?: number): Promise<Buffer> =>
  issueTo(edge, from, number, effectiveAt);
beforeAll(async () => {
  hub = await makeNode('hub1');
  second = await makeNode('hub2');
  mallory = await makeNode('mallory');
  edge = await makeNode('edge1');
  otherEdge = await makeNode('edge2');
});
beforeEach(() => {
  site = new CredentialSite(edge, hub);
});

describe('a hub', () => {
  it('that an admitted one endorses is admitted, and so is one that this endorses', async () => {
    const third = await makeNode('hub3');
    const endorse = (by: HubNode, who: HubNode): Buffer =>
      stateMembership(
        by.identity,
        { pin: who.identity.pin, role: 'hub' },
        { subject: who.fqdn, issuedAt: START },
      );
    const hubs = [
      objectOf(hub, { statements: [endorse(hub, second)] }),
      objectOf(second, { statements: [endorse(second, third)] }),
      objectOf(third),
      objectOf(mallory),
    ];
    const report = await arrive({
      hubs,
      records: [await issue(second), await issue(third), await issue(mallory)],
    });
    expect(report.admitted).toEqual(['hub1', 'hub2', 'hub3']);
    expect(report.installed).toEqual(['ESRA.edge1.hub2.0', 'ESRA.edge1.hub3.0']);
    expect(report.refused.map(({ what }) => what)).toEqual(['hub mallory', 'ESRA.edge1.mallory.0']);
    expect(findHub(site.store.value.hubs, 'hub3')?.admittedBy).toBe('endorsed');
  });

  describe('that was removed', () => {
    const MINUTE = 60_000;
    const says = (by: HubNode, role: 'hub' | 'removed', who: HubNode, at: number): Buffer => {
      const about = { subject: who.fqdn, issuedAt: at };
      const { pin } = who.identity;
      return role === 'hub'
        ? stateMembership(by.identity, { pin, role }, about)
        : stateRemoval(by.identity, pin, about);
    };
    const push = async (statements: readonly Buffer[]): Promise<readonly string[]> => {
      const hubs = [objectOf(hub, { statements: [...statements] }), objectOf(second)];
      const report = await arrive({ hubs, records: [await issue(hub), await issue(second)] }, hub, 'hub');
      return report.removed;
    };
    beforeEach(async () => {
      await arrive({ records: [await issue(hub)] });
      await push([says(hub, 'hub', second, START)]);
      expect(site.accountNames()).toEqual(['ESRA.edge1.hub1.0', 'ESRA.edge1.hub2.0']);
    });

    it('loses its accounts, and comes back by no older word, also when the removal is no more to be read', async () => {
      const endorsement = says(hub, 'hub', second, START);
      expect(await push([endorsement, says(hub, 'removed', second, START + MINUTE)])).toEqual(['hub2']);
      expect(site.accountNames()).toEqual(['ESRA.edge1.hub1.0']);
      expect(await push([endorsement])).toEqual([]);
      expect(site.accountNames()).toEqual(['ESRA.edge1.hub1.0']);
      await push([says(hub, 'hub', second, START + 2 * MINUTE)]);
      expect(site.accountNames()).toEqual(['ESRA.edge1.hub1.0', 'ESRA.edge1.hub2.0']);
    });

    it('by a word of the far future, may be let in again all the same', async () => {
      const future = says(hub, 'removed', second, START + 400 * DAY);
      expect(await push([says(hub, 'hub', second, START), future])).toEqual(['hub2']);
      const again = says(hub, 'hub', second, site.clock.now() + MINUTE);
      expect(await push([future, again])).toEqual([]);
      expect(site.accountNames()).toEqual(['ESRA.edge1.hub1.0', 'ESRA.edge1.hub2.0']);
      expect(await push([future, again])).toEqual([]);
    });

    it('is not removed by a stranger, by an older word than its endorsement, or by an altered one', async () => {
      const endorsement = says(hub, 'hub', second, START);
      const altered = says(hub, 'removed', second, START + MINUTE);
      altered[altered.length - 9] = (altered[altered.length - 9] ?? 0) ^ 1;
      for (const word of [
        says(mallory, 'removed', second, START + MINUTE),
        says(hub, 'removed', second, START - MINUTE),
        altered,
      ])
        expect(await push([endorsement, word])).toEqual([]);
      expect(site.accountNames()).toEqual(['ESRA.edge1.hub1.0', 'ESRA.edge1.hub2.0']);
    });
  });

  it('that the administrator of the edge revoked, comes back by no older word, nor do those that it endorses', async () => {
    const third = await makeNode('hub3');
    const says = (by: HubNode, who: HubNode, issuedAt: number): Buffer =>
      stateMembership(by.identity, { pin: who.identity.pin, role: 'hub' }, { subject: who.fqdn, issuedAt });
    const push = async (...statements: readonly Buffer[]): Promise<readonly string[]> => {
      const said = [says(second, third, START + DAY), ...statements];
      const hubs = [objectOf(hub, { statements: said }), objectOf(second), objectOf(third)];
      return (await arrive({ hubs, records: [await issue(second), await issue(third)] }, hub, 'hub'))
        .admitted;
    };
    await arrive({ records: [await issue(hub)] });
    await arrive({ hubs: [objectOf(hub, { statements: [says(hub, second, START)] }), objectOf(second)] });
    await site.clock.advance(60_000);
    await site.store.update((draft) => {
      const revoked = findHub(draft.hubs, 'hub2');
      if (revoked === undefined) throw new Error('hub2 is not there');
      return withoutHub(draft, revoked, site.clock.now());
    });
    expect(Object.keys(site.store.value.hubs)).toEqual(['hub1']);
    expect(await push(says(hub, second, START))).toEqual([]);
    expect(site.accountNames()).toEqual(['ESRA.edge1.hub1.0']);
    expect(await push(says(hub, second, START + 120_000))).toEqual(['hub2', 'hub3']);
  });

  it('cannot take the name of an admitted one, in an ordinary session', async () => {
    await arrive({ records: [await issue(hub)] });
    const impostor = { ...mallory, name: 'hub1', fqdn: 'hub1.example' };
    const report = await arrive(
      { hubs: [objectOf(impostor)], records: [await issue(impostor, 5)] },
      second,
      'hub',
    );
    expect(report.refused.map(({ reason }) => reason)).toEqual([
      'it shows another key than the one that is pinned',
      expect.stringContaining('not trusted'),
    ]);
    expect(findHub(site.store.value.hubs, 'hub1')?.pins.current).toBe(hub.identity.pin);
  });

  it('that was set up anew comes back with a new file, and its former accounts go', async () => {
    await arrive({ records: [await issue(hub), await issue(hub, 1)] });
    const again = { ...(await makeNode('hub1')), name: 'hub1' };
    const report = await arrive({ hubs: [objectOf(again)], records: [await issue(again)] }, again);
    expect([report.admitted, report.installed]).toEqual([['hub1'], ['ESRA.edge1.hub1.0']]);
    expect(site.accountNames()).toEqual(['ESRA.edge1.hub1.0']);
    expect(findHub(site.store.value.hubs, 'hub1')?.pins.current).toBe(again.identity.pin);
  });

  it('does not carry the word of a new file to an object that somebody else has written', async () => {
    await arrive({ records: [await issue(hub)] });
    // An admitted hub gone bad has put the newcomer's certificate under the name of another one.
    const planted = objectOf(second, { name: 'hub1', fqdn: 'hub1.example', byPusher: false });
    const report = await arrive({ hubs: [planted, objectOf(second, { byPusher: true })] }, second);
    expect(report.admitted).toEqual(['hub2']);
    expect(findHub(site.store.value.hubs, 'hub1')?.pins.current).toBe(hub.identity.pin);
    expect(site.accountNames()).toEqual(['ESRA.edge1.hub1.0']);
  });

  it('gets nothing when the account that pushed went away while it was looked at', async () => {
    const records = [await issue(hub)];
    await expect(arrive({ records, stillGood: () => false })).rejects.toThrow('taken away');
    expect([site.store.value.hubs, site.accountNames()]).toEqual([{}, []]);
    await arrive({ records, stillGood: () => true });
    expect(site.accountNames()).toEqual(['ESRA.edge1.hub1.0']);
  });

  it.each<[string, Partial<HubObject>]>([
    ['a name with a dot', { name: 'hub1.example' }],
    ['no host name', { fqdn: 'hub 1' }],
    ['no certificate', { certificate: Buffer.alloc(0) }],
  ])('with %s is passed over', async (_name, change) => {
    const report = await arrive({ hubs: [objectOf(hub, change)] });
    expect([report.admitted, reasons(report)]).toEqual([
      [],
      ['credential.invalid: its name, host name or certificate cannot be used'],
    ]);
  });

  it('that was removed while its record was opened gets no account', async () => {
    const update = site.store.update.bind(site.store);
    site.store.update = (change) => update((draft) => change({ ...draft, hubs: {}, accounts: [] }));
    await arrive({ hubs: [objectOf(hub)] });
    const admitted = site.store.value;
    site.store.value = {
      ...admitted,
      hubs: { hub1: { ...(findHub(admitted.hubs, 'hub1') as NonNullable<ReturnType<typeof findHub>>) } },
    };
    await arrive({ records: [await issue(hub)] }, hub, 'hub');
    expect(site.store.value.accounts).toEqual([]);
  });
});

describe('the address key', () => {
  const keyRecord = async (
    createdAt: number,
    options: { to?: HubNode; fqdn?: string; issuer?: HubNode } = {},
  ): Promise<Buffer> =>
    createAddressKeyRecord(
      createAddressKey(random),
      { fqdn: options.fqdn ?? 'edge1.example', createdAt },
      peerOf(options.to ?? edge),
      (options.issuer ?? hub).identity,
    );

  it('is replaced by a new subscription only, and only by a later one', async () => {
    const first = await arrive({ addressKeys: [await keyRecord(START)] });
    const other = await keyRecord(START + 1);
    expect(reasons(await arrive({ addressKeys: [other] }, hub, 'hub'))).toEqual([
      'credential.invalid: this edge has another address key, and only a new subscription replaces it',
    ]);
    expect(reasons(await arrive({ addressKeys: [await keyRecord(START - 1)] }))).toHaveLength(1);
    expect(site.store.value.addressKey?.id).toBe(first.addressKey);
    // Or no later one could ever replace it.
    expect(reasons(await arrive({ addressKeys: [await keyRecord(START + DAY)] }))).toEqual([
      'credential.invalid: it was made in the future',
    ]);
    const report = await arrive({ addressKeys: [other] });
    expect(report.addressKey).not.toBe(first.addressKey);
    expect(site.store.value.addressKey?.id).toBe(report.addressKey);
  });

  it.each<[string, { to?: 'otherEdge'; fqdn?: string; issuer?: 'mallory' }]>([
    ['for another edge', { fqdn: 'edge2.example' }],
    ['sealed to another edge', { to: 'otherEdge' }],
    ['from a stranger', { issuer: 'mallory' }],
  ])('%s is refused', async (_name, { to, fqdn, issuer }) => {
    const bytes = await keyRecord(START, {
      ...(to && { to: otherEdge }),
      ...(fqdn && { fqdn }),
      ...(issuer && { issuer: mallory }),
    });
    const report = await arrive({ addressKeys: [bytes, Buffer.from('junk')] });
    expect([report.addressKey, report.refused.length, site.store.value.addressKey]).toEqual([
      undefined,
      2,
      undefined,
    ]);
  });
});
