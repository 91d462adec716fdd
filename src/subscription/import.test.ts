/** The hub's side: what is written, and every refusal before anything is. */
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SITE_START as START } from '../../test/support/subscription-file.ts';
import {
  makeEdge,
  makeHub,
  siteRandom,
  type TestEdge,
  type TestHub,
} from '../../test/support/subscription-site.ts';
import {
  decodeAddressKeyRecord,
  openAddressKeyRecord,
  verifyAddressKeyRecord,
} from '../credential/address-key.ts';
import { credentialsToTry, openOwnCredential, ownCredentials } from '../credential/issue.ts';
import { decodeCredentialRecord } from '../credential/record.ts';
import { createSubscription } from './edge-subscription.ts';
import type { SubscriptionFile } from './file.ts';
import { readSubscriptionFile } from './file-reader.ts';
import {
  establishedChanges,
  type ImportOptions,
  prepareImport,
  prepareRemoval,
  withEstablished,
} from './import.ts';
import { claimants, endorsed } from './membership.ts';
import { edgeDn, hubDn, readTopologyObject, type TopologyObject } from './topology-objects.ts';
import { findEdge } from './trust-state.ts';

const DAY = 86_400_000;
let edge: TestEdge;
let other: TestEdge;
let hub: TestHub;
beforeAll(async () => {
  other = await makeEdge('edge2');
});
beforeEach(async () => {
  [edge, hub] = await Promise.all([makeEdge(), makeHub()]);
});

const newFile = async (from = edge, sealTo = false): Promise<SubscriptionFile> =>
  readSubscriptionFile((await createSubscription(from.deps, sealTo ? { sealTo: hub.public } : {})).bytes);
const optionsFor = (file: SubscriptionFile, change: Partial<ImportOptions> = {}): ImportOptions => ({
  file,
  now: START + 1000,
  hub: hub.hub,
  site: 'Default-Site',
  trust: hub.node.store.value,
  edgesPresent: [],
  random: siteRandom,
  ...change,
});
const code = async (options: ImportOptions): Promise<string> => {
  try {
    await prepareImport(options);
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'accepted';
};
/** The edge's object and the values added to the hub's, as a directory would hold them after the plan. */
const written = async (
  options: ImportOptions,
): Promise<{ edgeObject: TopologyObject; own: { credentials: Buffer[]; sealedKeys: Buffer[] } }> => {
  const plan = await prepareImport(options);
  await hub.node.store.update(plan.trust);
  const [add, modify] = plan.changes;
  if (add?.op !== 'addRequest' || modify?.op !== 'modifyRequest')
    throw new Error('one object added, one changed');
  expect([add.dn, modify.dn]).toEqual([
    edgeDn(plan.edge.name, 'Default-Site'),
    hubDn('hub1', 'Default-Site'),
  ]);
  const added = (type: string): Buffer[] =>
    modify.changes.flatMap(({ kind, attribute }) =>
      kind === 'add' && attribute.type === type ? attribute.values : [],
    );
  const edgeObject = readTopologyObject(add.attributes);
  if (edgeObject === undefined) throw new Error('the edge object cannot be read');
  return {
    edgeObject,
    own: { credentials: added('posternCredential'), sealedKeys: added('posternSealedKey') },
  };
};

describe('an import writes', () => {
  it.each([false, true])(
    'the edge with what is sealed to it, and to the hub what is its own (file sealed: %s)',
    async (sealed) => {
      const file = await newFile(edge, sealed);
      const { edgeObject, own } = await written(optionsFor(file));
      const { pin } = edge.edge.identity;
      expect(edgeObject).toMatchObject({
        name: 'edge1',
        fqdn: 'edge1.perimeter.example',
        port: 50636,
        certificates: [edge.edge.identity.certificate.der],
        statements: [edge.edge.sealingStatement, expect.any(Buffer) as Buffer],
      });
      // Other hubs of the site trust the edge by this hub's word.
      const [found] = endorsed('edge', claimants([edgeObject]), [hub.public.pin], edgeObject.statements);
      expect(found?.pin).toBe(pin);
      expect(edgeObject.credentials.map(decodeCredentialRecord)).toMatchObject([
        {
          userName: 'ESRA.edge1.hub1.0',
          sourceServerFqdn: 'hub1.corp.example',
          targetServerFqdn: 'edge1.perimeter.example',
          sealedTo: pin,
          issuer: hub.public.pin,
          effectiveAt: START + 1000,
          expiresAt: START + 1000 + 30 * DAY,
        },
      ]);
      expect(own.credentials.map(decodeCredentialRecord)).toMatchObject([
        { userName: 'ESRA.edge1.hub1.0', sealedTo: hub.public.pin },
        {
          userName: 'ESRA.edge1',
          sourceServerFqdn: '',
          sealedTo: hub.public.pin,
          effectiveAt: START,
          expiresAt: START + DAY,
        },
      ]);

      // Both ends hold the same address key, and only they can open their copy.
      const [forEdge, forHub] = [edgeObject.sealedKeys[0], own.sealedKeys[0]].map((bytes) =>
        decodeAddressKeyRecord(bytes ?? Buffer.alloc(0)),
      );
      if (forEdge === undefined || forHub === undefined) throw new Error('two keys');
      for (const record of [forEdge, forHub]) verifyAddressKeyRecord(record, hub.public.pin);
      const atEdge = await openAddressKeyRecord(forEdge, edge.node.store.value.sealingKeys);
      const atHub = await openAddressKeyRecord(forHub, hub.hub.sealingKeys);
      expect(atEdge.key.equals(atHub.key)).toBe(true);
      await expect(openAddressKeyRecord(forEdge, hub.hub.sealingKeys)).rejects.toThrow(
        expect.objectContaining({ code: 'seal.open-failed' }),
      );

      // The hub tries its ESRA first, then the bootstrap account.
      const credentials = credentialsToTry(ownCredentials(own.credentials, hub.hub, 'EDGE1'), START + 2000);
      expect(credentials.map(({ userName }) => userName)).toEqual(['ESRA.edge1.hub1.0', 'ESRA.edge1']);
      const bootstrap = await openOwnCredential(credentials[1] as (typeof credentials)[0], hub.hub);
      expect(edge.node.store.value.accounts[0]?.name).toBe('ESRA.edge1');
      expect(bootstrap.revealText()).toHaveLength(128);
      expect(findEdge(hub.node.store.value, 'edge1')).toMatchObject({
        pins: { current: pin },
        subscriptionId: file.id,
        addressKeyId: atHub.id,
        accountNumber: 0,
        passwordPolicy: edge.edge.policy,
      });
    },
  );

  it("passes over records that are not this hub's", async () => {
    const { own } = await written(optionsFor(await newFile()));
    const stranger = await makeHub('hub2');
    const namesake = await makeHub('hub1');
    expect(ownCredentials(own.credentials, hub.hub, 'edge2').credentials).toEqual([]);
    expect(ownCredentials(own.credentials, stranger.hub, 'edge1')).toMatchObject({
      credentials: [],
      ignored: [{ reason: expect.stringContaining('not trusted') }],
    });
    expect(ownCredentials([...own.credentials, Buffer.from('junk')], namesake.hub, 'edge1')).toMatchObject({
      credentials: [],
      ignored: { length: 3 },
    });
  });

  it('nothing more for the bootstrap once the ESRA has proved itself', async () => {
    const { own } = await written(optionsFor(await newFile()));
    const place = { hub: 'hub1', site: 'Default-Site' };
    expect(establishedChanges('edge1', own, place)).toEqual([
      {
        op: 'modifyRequest',
        dn: hubDn('hub1', 'Default-Site'),
        changes: [{ kind: 'delete', attribute: { type: 'posternCredential', values: [own.credentials[1]] } }],
      },
    ]);
    expect(establishedChanges('edge2', own, place)).toEqual([]);
    const state = withEstablished(hub.node.store.value, 'edge1', START + 5000);
    expect(findEdge(state, 'edge1')?.establishedAt).toBe(START + 5000);
    expect(withEstablished(state, 'edge1', START + 9000)).toBe(state);
  });
});

describe('an import is refused', () => {
  it.each<[string, () => Promise<Partial<ImportOptions>>, string]>([
    ['of an expired file', async () => ({ now: START + DAY }), 'subscription.expired'],
    ['of a file that is not yet valid', async () => ({ now: START - DAY }), 'subscription.not-yet-valid'],
    [
      'of a file of another edge than expected',
      async () => ({ expectFingerprint: other.edge.identity.pin }),
      'pin.mismatch',
    ],
    [
      'of an edge that another hub imported',
      async () => ({ edgesPresent: ['edge9', 'EDGE1'] }),
      'subscription.duplicate',
    ],
    [
      'of a file that is sealed to another hub',
      async () => ({ hub: (await makeHub('hub2')).hub, file: await newFile(edge, true) }),
      'subscription.wrong-hub',
    ],
    [
      "of a file that is sealed to this hub's former sealing key",
      async () => ({
        hub: { ...hub.hub, sealingKeys: (await makeHub('x')).hub.sealingKeys },
        file: await newFile(edge, true),
      }),
      'subscription.wrong-hub',
    ],
  ])('%s', async (_name, change, expected) => {
    const before = JSON.stringify(hub.node.store.value);
    expect(await code(optionsFor(await newFile(), await change()))).toBe(expected);
    expect(JSON.stringify(hub.node.store.value)).toBe(before);
  });

  it('a second time, whatever else is wrong by then', async () => {
    const file = await newFile();
    await written(optionsFor(file));
    expect(await code(optionsFor(file, { trust: hub.node.store.value }))).toBe('subscription.duplicate');
    expect(await code(optionsFor(file, { trust: hub.node.store.value, now: START + 100 * DAY }))).toBe(
      'subscription.duplicate',
    );
    expect(await code(optionsFor(await newFile(), { trust: hub.node.store.value }))).toBe(
      'subscription.duplicate',
    );
  });

  it('of the same edge under another name', async () => {
    await written(optionsFor(await newFile()));
    const renamed = await newFile({ ...edge, deps: { ...edge.deps, edge: { ...edge.edge, name: 'edge7' } } });
    expect(await code(optionsFor(renamed, { trust: hub.node.store.value }))).toBe('subscription.duplicate');
  });

  it('when two are made at once: the later one loses before it writes', async () => {
    const file = await newFile();
    const [first, second] = await Promise.all([
      prepareImport(optionsFor(file)),
      prepareImport(optionsFor(file)),
    ]);
    await hub.node.store.update(first.trust);
    await expect(hub.node.store.update(second.trust)).rejects.toThrow(
      expect.objectContaining({ code: 'subscription.duplicate' }),
    );
    // When the changes cannot be written, the file may be imported again.
    await hub.node.store.update(first.undo);
    expect(await code(optionsFor(file, { trust: hub.node.store.value }))).toBe('accepted');
  });

  it('of an unsigned file, unless a bind proved it and the edge states a sealing key', async () => {
    const plain = (await createSubscription(edge.deps)).bytes
      .toString()
      .replace(/ *<Postern\w+>[^<]*<\/Postern\w+>\n/g, '');
    const file = readSubscriptionFile(Buffer.from(plain));
    expect(file.signed).toBe(false);
    expect(await code(optionsFor(file))).toBe('refused');
    expect(
      await code(optionsFor(file, { provenByBind: { sealingStatement: edge.edge.sealingStatement } })),
    ).toBe('accepted');
    expect(
      await code(optionsFor(file, { provenByBind: { sealingStatement: other.edge.sealingStatement } })),
    ).toBe('statement.invalid');
  });
});

describe('a removal', () => {
  const facts = (own: { credentials: Buffer[]; sealedKeys: Buffer[] }, edgePresent = true) => ({
    trust: hub.node.store.value,
    edgePresent,
    own,
    hub: 'hub1',
    site: 'Default-Site',
  });

  it('takes what is for that edge and nothing else, and numbers go on afterwards', async () => {
    const one = await written(optionsFor(await newFile()));
    const two = await written(optionsFor(await newFile(other), { trust: hub.node.store.value }));
    const own = {
      credentials: [...one.own.credentials, ...two.own.credentials, Buffer.from('junk')],
      sealedKeys: [...one.own.sealedKeys, ...two.own.sealedKeys],
    };
    const plan = prepareRemoval('EDGE1', facts(own));
    expect(plan.changes).toEqual([
      {
        op: 'modifyRequest',
        dn: hubDn('hub1', 'Default-Site'),
        changes: [
          { kind: 'delete', attribute: { type: 'posternCredential', values: one.own.credentials } },
          { kind: 'delete', attribute: { type: 'posternSealedKey', values: one.own.sealedKeys } },
        ],
      },
      { op: 'deleteRequest', dn: edgeDn('edge1', 'Default-Site') },
    ]);
    await hub.node.store.update(plan.trust);
    expect(Object.keys(hub.node.store.value.edges)).toEqual(['edge2']);
    const again = await prepareImport(optionsFor(await newFile(), { trust: hub.node.store.value }));
    expect(again.userName).toBe('ESRA.edge1.hub1.1');
  });

  it('works on either half, and says when there is none', async () => {
    const { own } = await written(optionsFor(await newFile()));
    expect(prepareRemoval('edge1', facts(own, false)).changes.map(({ op }) => op)).toEqual(['modifyRequest']);
    await hub.node.store.update(prepareRemoval('edge1', facts(own)).trust);
    expect(prepareRemoval('edge1', facts({ credentials: [], sealedKeys: [] })).changes).toEqual([
      { op: 'deleteRequest', dn: edgeDn('edge1', 'Default-Site') },
    ]);
    expect(() => prepareRemoval('edge1', facts(own, false))).toThrow(
      expect.objectContaining({ code: 'subscription.unknown' }),
    );
  });
});
