/** Who can talk himself into a site by writing to its configuration directory: nobody without a key that is trusted. */
import { beforeAll, describe, expect, it } from 'vitest';
import { makeEdge, makeHub, type TestEdge, type TestHub } from '../../test/support/subscription-site.ts';
import { stateSealingKey } from '../certificate/statement.ts';
import { claimants, endorsed, endorsement, findHub, recipientOf, trustedPins } from './membership.ts';
import type { TopologyObject } from './topology-objects.ts';

let hub1: TestHub;
let hub2: TestHub;
let hub3: TestHub;
let edge: TestEdge;
beforeAll(async () => {
  [hub1, hub2, hub3, edge] = await Promise.all([
    makeHub('hub1'),
    makeHub('hub2'),
    makeHub('hub3'),
    makeEdge('edge1'),
  ]);
});

function object(node: TestHub | TestEdge, change: Partial<TopologyObject> = {}): TopologyObject {
  const { name, fqdn, identity } = 'hub' in node ? node.hub : node.edge;
  const sealing = 'hub' in node ? node.node.store.value.sealingStatement : node.edge.sealingStatement;
  return {
    name,
    fqdn,
    port: undefined,
    certificates: [identity.certificate.der],
    statements: [Buffer.from(sealing)],
    credentials: [],
    sealedKeys: [],
    ...change,
  };
}
const names = (found: readonly { object: TopologyObject }[]): string[] => found.map((one) => one.object.name);
const says = (by: TestHub, role: 'hub' | 'edge', about: TestHub | TestEdge): Buffer => {
  const { fqdn, identity } = 'hub' in about ? about.hub : about.edge;
  return endorsement(by.hub, role, { fqdn, pin: identity.pin }, 1000);
};

describe('endorsed', () => {
  const roots = (): ReturnType<typeof trustedPins> => [hub1.hub.identity.pin];

  it('by a trusted hub, and by a hub that it endorsed', () => {
    const all = claimants([object(hub2), object(hub3)]);
    expect(names(endorsed('hub', all, roots(), [says(hub1, 'hub', hub2)]))).toEqual(['hub2']);
    expect(names(endorsed('hub', all, roots(), [says(hub2, 'hub', hub3), says(hub1, 'hub', hub2)]))).toEqual([
      'hub2',
      'hub3',
    ]);
    expect(names(endorsed('edge', claimants([object(edge)]), roots(), [says(hub1, 'edge', edge)]))).toEqual([
      'edge1',
    ]);
  });

  it.each<[string, () => [role: 'hub' | 'edge', TopologyObject, Buffer[]]]>([
    ['by itself', () => ['hub', object(hub2), [says(hub2, 'hub', hub2)]]],
    ['by a stranger', () => ['hub', object(hub2), [says(hub3, 'hub', hub2)]]],
    ['in another role', () => ['hub', object(hub2), [says(hub1, 'edge', hub2)]]],
    [
      'under another host name',
      () => ['hub', object(hub2, { fqdn: 'hub9.corp.example' }), [says(hub1, 'hub', hub2)]],
    ],
    [
      "with another's certificate",
      () => [
        'hub',
        object(hub2, { certificates: [hub3.hub.identity.certificate.der] }),
        [says(hub1, 'hub', hub2)],
      ],
    ],
    [
      'by an edge that was endorsed as one',
      () => ['hub', object(hub3), [says(hub1, 'edge', hub2), says(hub2, 'hub', hub3)]],
    ],
    [
      'by a statement that was altered',
      () => {
        const altered = says(hub1, 'hub', hub2);
        altered[altered.length - 5] = (altered[altered.length - 5] ?? 0) ^ 1;
        return ['hub', object(hub2), [altered]];
      },
    ],
    [
      'without a certificate',
      () => ['hub', object(hub2, { certificates: [Buffer.from('junk')] }), [says(hub1, 'hub', hub2)]],
    ],
  ])('not: %s', (_why, make) => {
    const [role, claimed, statements] = make();
    expect(endorsed(role, claimants([claimed]), roots(), statements)).toEqual([]);
  });
});

describe('a hub that is let in', () => {
  it('is found by name and key together', () => {
    const all = claimants([object(hub1), object(hub2)]);
    expect(findHub(all, 'HUB2', hub2.hub.identity.pin).object.name).toBe('hub2');
    expect(findHub(all, undefined, hub1.hub.identity.pin).object.name).toBe('hub1');
    expect(() => findHub(all, 'hub2', hub1.hub.identity.pin)).toThrow(
      expect.objectContaining({ code: 'pin.mismatch' }),
    );
    expect(() => findHub(all, undefined, hub3.hub.identity.pin)).toThrow(
      expect.objectContaining({ code: 'not-found' }),
    );
  });

  it('is not chosen between copies of its object', () => {
    const all = claimants([object(hub1, { name: 'aaa' }), object(hub1)]);
    expect(() => findHub(all, undefined, hub1.hub.identity.pin)).toThrow(/aaa, hub1/);
  });

  it('has keys sealed to the key it stated last, whatever of older ones was put back before it', () => {
    const { identity, fqdn } = hub2.hub;
    const older = stateSealingKey(identity, Buffer.alloc(32, 7), { subject: fqdn, issuedAt: 1 });
    const last = Buffer.from(hub2.node.store.value.sealingStatement);
    for (const statements of [
      [older, last],
      [last, older],
    ])
      for (const found of claimants([object(hub2, { statements })]))
        expect(recipientOf(found).sealingKey).toEqual(hub2.hub.sealingKeys[0].publicKey);
  });

  it('has keys sealed to what it states itself, never to what others state', () => {
    const [good] = claimants([object(hub2)]);
    expect(recipientOf(good as NonNullable<typeof good>)).toMatchObject({
      pin: hub2.hub.identity.pin,
      sealingKey: hub2.hub.sealingKeys[0].publicKey,
    });
    const [bad] = claimants([
      object(hub2, { statements: [Buffer.from(hub3.node.store.value.sealingStatement)] }),
    ]);
    expect(() => recipientOf(bad as NonNullable<typeof bad>)).toThrow(
      expect.objectContaining({ code: 'statement.invalid' }),
    );
  });
});
