/** The edge's side, from the file to the end of the bootstrap and of the subscription. */
import { beforeEach, describe, expect, it } from 'vitest';
import { SITE_START as START } from '../../test/support/subscription-file.ts';
import {
  makeEdge,
  makeHub,
  siteRandom,
  type TestEdge,
  type TestHub,
} from '../../test/support/subscription-site.ts';
import { silentLog } from '../base/log.ts';
import type { Secret } from '../base/secret.ts';
import { checkHub, judgeBootstrapBind } from '../credential/bind.ts';
import { parseAccountName } from '../credential/account-name.ts';
import { createCredentialService } from '../credential/credential-service.ts';
import { findAccount } from '../credential/credential-state.ts';
import { openOwnCredential, ownCredentials } from '../credential/issue.ts';
import {
  bindBootstrapTo,
  createSubscription,
  dropExpiredBootstrap,
  endBootstrap,
  removedEdgeTrust,
} from './edge-subscription.ts';
import { readSubscriptionFile } from './file-reader.ts';
import { prepareImport } from './import.ts';
import { openEdgeNode } from './node.ts';
import { edgeForEdge, hubForEdge, readTopologyObject } from './topology-objects.ts';

const MIN = 60_000;
const DAY = 1440 * MIN;
let edge: TestEdge;
let hub: TestHub;
beforeEach(async () => {
  [edge, hub] = await Promise.all([makeEdge(), makeHub()]);
});
const accounts = () => edge.node.store.value.accounts;
const bind = (name: string, password: Secret, by: TestHub = hub): string => {
  const parsed = parseAccountName(name);
  const { value } = edge.node.store;
  if (parsed?.kind === 'esra') {
    const check = checkHub(value, 'edge1', parsed, name, password.reveal(), by.public.pin);
    return check.outcome === 'hub' ? `hub ${check.hub.name}` : check.reason;
  }
  const answer = judgeBootstrapBind(value.accounts, name, password.reveal(), by.public.pin, edge.clock.now());
  return answer.outcome === 'refused' ? answer.code : answer.outcome;
};
/** As the daemon tells it after the first bind of hub1's ESRA. */
const proved = () => ({ account: 'ESRA.edge1.hub1.0', pin: hub.public.pin });

describe('making a file', () => {
  it.each([
    [undefined, DAY],
    [2 * MIN, 2 * MIN],
    [30 * DAY, 30 * DAY],
  ])('for %s ms', async (ttlMs, life) => {
    const created = await createSubscription(edge.deps, { ttlMs });
    const file = readSubscriptionFile(created.bytes);
    expect(file).toMatchObject({
      effectiveAt: START,
      durationMs: life,
      port: 50636,
      id: created.id,
      userName: 'ESRA.edge1',
    });
    expect(created).toMatchObject({ userName: 'ESRA.edge1', effectiveAt: START, expiresAt: START + life });
    expect(accounts()).toMatchObject([
      { name: 'ESRA.edge1', kind: 'bootstrap', state: 'active', effectiveAt: START, expiresAt: START + life },
    ]);
    expect(file.password.kind === 'clear' && bind('ESRA.edge1', file.password.secret)).toBe('ok');
  });

  it.each([2 * MIN - 1, 0, -1, 30 * DAY + 1, Number.NaN, 150_000.5])(
    'is refused for %s ms',
    async (ttlMs) => {
      await expect(createSubscription(edge.deps, { ttlMs })).rejects.toThrow(
        expect.objectContaining({ code: 'usage' }),
      );
      expect(accounts()).toEqual([]);
    },
  );

  it('keeps no password that could be read, and a second one makes the first worthless', async () => {
    const passwordOf = (bytes: Buffer): Secret => {
      const { password } = readSubscriptionFile(bytes);
      if (password.kind !== 'clear') throw new Error('not sealed');
      return password.secret;
    };
    const first = await createSubscription(edge.deps, { path: '/root/edge1.xml' });
    const second = await createSubscription(edge.deps);
    expect(JSON.stringify(edge.node.store.value)).not.toContain(passwordOf(second.bytes).revealText());
    expect([
      bind('ESRA.edge1', passwordOf(first.bytes)),
      bind('ESRA.edge1', passwordOf(second.bytes)),
    ]).toEqual(['wrong-password', 'ok']);
    expect([first.superseded, second.superseded]).toEqual([undefined, '/root/edge1.xml']);
    expect(accounts()).toHaveLength(1);
  });

  it('of two hubs that bind at once, one gets it', async () => {
    const stranger = await makeHub('hub2');
    await expect(bindBootstrapTo(edge.node.store, hub.public.pin)).rejects.toThrow(
      expect.objectContaining({ code: 'refused' }),
    );
    await createSubscription(edge.deps);
    const results = await Promise.allSettled(
      [stranger, hub].map((one) => bindBootstrapTo(edge.node.store, one.public.pin)),
    );
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(accounts()[0]?.pin).toBe(stranger.public.pin);
  });

  it('fails without a file when the account cannot be stored', async () => {
    edge.deps.files.fail({ on: 'datasync', code: 'ENOSPC' });
    await expect(createSubscription(edge.deps)).rejects.toThrow(
      expect.objectContaining({ code: 'file.unwritable' }),
    );
    expect(accounts()).toEqual([]);
  });

  it('belongs to the first hub that uses it, or to the one it is sealed to', async () => {
    const stranger = await makeHub('hub2');
    const clear = readSubscriptionFile((await createSubscription(edge.deps)).bytes).password;
    if (clear.kind !== 'clear') throw new Error('not sealed');
    expect(bind('ESRA.edge1', clear.secret, stranger)).toBe('ok');
    await bindBootstrapTo(edge.node.store, stranger.public.pin);
    expect([bind('ESRA.edge1', clear.secret), bind('ESRA.edge1', clear.secret, stranger)]).toEqual([
      'wrong-client-certificate',
      'ok',
    ]);
    await expect(bindBootstrapTo(edge.node.store, hub.public.pin)).rejects.toThrow(
      expect.objectContaining({ code: 'refused' }),
    );
    await createSubscription(edge.deps, { sealTo: hub.public });
    expect(accounts()[0]?.pin).toBe(hub.public.pin);
    expect(edge.node.store.value.subscription?.sealedTo).toEqual({ hub: 'hub1', pin: hub.public.pin });
  });
});

describe('a subscription from file to file', () => {
  /** Everything two daemons do, without the network between them. */
  const subscribe = async (sealed: boolean): Promise<{ esra: Secret }> => {
    const created = await createSubscription(edge.deps, {
      path: '/root/edge1.xml',
      ...(sealed ? { sealTo: hub.public } : {}),
    });
    await edge.deps.files.makeFolder('/root');
    const written = await edge.deps.files.open('/root/edge1.xml', 'create');
    await written.write(created.bytes, 0);
    await written.close();
    const now = START + 5 * MIN;
    await Promise.all([edge.clock.advance(5 * MIN), hub.clock.advance(5 * MIN)]);
    const plan = await prepareImport({
      file: readSubscriptionFile(created.bytes),
      now,
      hub: hub.hub,
      site: 'S',
      trust: hub.node.store.value,
      edgesPresent: [],
      random: siteRandom,
    });
    await hub.node.store.update(plan.trust);
    const [add, modify] = plan.changes;
    if (add?.op !== 'addRequest' || modify?.op !== 'modifyRequest')
      throw new Error('one object added, one changed');
    const own = modify.changes.flatMap(({ attribute }) =>
      attribute.type === 'posternCredential' ? attribute.values : [],
    );
    const { credentials } = ownCredentials(own, hub.hub, 'edge1');
    const passwordOf = (kind: string): Promise<Secret> =>
      openOwnCredential(credentials.find((one) => one.kind === kind) as (typeof credentials)[0], hub.hub);

    // First session: the bootstrap account binds and pushes the topology.
    expect(bind('ESRA.edge1', await passwordOf('bootstrap'))).toBe('ok');
    await bindBootstrapTo(edge.node.store, hub.public.pin);
    const self = {
      name: 'hub1',
      fqdn: hub.hub.fqdn,
      port: undefined,
      certificates: [hub.hub.identity.certificate.der],
      statements: [hub.node.store.value.sealingStatement],
      credentials: own,
      sealedKeys: [],
    };
    const edgeObject = readTopologyObject(add.attributes);
    if (edgeObject === undefined) throw new Error('the edge object cannot be read');
    const pushedHub = readTopologyObject(hubForEdge(self).attributes);
    const pushedEdge = readTopologyObject(edgeForEdge(edgeObject).attributes);
    if (pushedHub === undefined || pushedEdge === undefined) throw new Error('pushed objects can be read');
    expect(pushedHub.credentials).toEqual([]);
    const { store } = edge.node;
    const service = createCredentialService({
      store,
      edge: () => ({ name: 'edge1', fqdn: edge.edge.fqdn, pins: [edge.edge.identity.pin] }),
      sealingKeys: () => store.value.sealingKeys,
      policy: edge.edge.policy,
      clock: edge.clock,
      random: siteRandom,
      log: silentLog,
    });
    const report = await service.process({
      session: { role: 'bootstrap', peerPin: hub.public.pin },
      hubs: [{ ...pushedHub, certificate: pushedHub.certificates[0] ?? Buffer.alloc(0) }],
      records: pushedEdge.credentials,
      addressKeys: pushedEdge.sealedKeys,
    });
    expect(report).toMatchObject({
      admitted: ['hub1'],
      installed: ['ESRA.edge1.hub1.0'],
      addressKey: plan.edge.addressKeyId,
      refused: [],
    });
    return { esra: await passwordOf('esra') };
  };

  it.each([false, true])('ends with one account and no file (sealed: %s)', async (sealed) => {
    const { esra } = await subscribe(sealed);
    // Second session: the ESRA proves itself.
    expect(bind('ESRA.edge1.hub1.0', esra)).toBe('hub hub1');
    expect(await edge.deps.files.exists('/root/edge1.xml')).toBe(true);
    expect(await endBootstrap(edge.deps, proved())).toEqual({ path: '/root/edge1.xml', copy: 'deleted' });
    expect(await edge.deps.files.exists('/root/edge1.xml')).toBe(false);
    expect(accounts().map(({ name }) => name)).toEqual(['ESRA.edge1.hub1.0']);
    expect(edge.node.store.value.subscription).toBeUndefined();
    expect(edge.node.store.value.usedSubscriptions).toHaveLength(1);
    expect(await endBootstrap(edge.deps, proved())).toBeUndefined();
  });

  it('names the file that it cannot delete', async () => {
    await subscribe(false);
    edge.deps.files.fail({ on: 'remove', code: 'EACCES', path: 'edge1.xml' });
    expect(await endBootstrap(edge.deps, proved())).toEqual({ path: '/root/edge1.xml', copy: 'left' });
    expect(findAccount(accounts(), 'ESRA.edge1')).toBeUndefined();
  });

  it.each<[string, (files: TestEdge['deps']['files']) => Promise<void>, string]>([
    ['was moved away', (files) => files.rename('/root/edge1.xml', '/root/usb.xml'), 'gone'],
    [
      'is another file now',
      async (files) => {
        const file = await files.open('/root/edge1.xml', 'write');
        await file.truncate(100);
        await file.close();
      },
      'left',
    ],
  ])('deletes nothing when the file %s', async (_name, change, copy) => {
    await subscribe(false);
    await change(edge.deps.files);
    expect(await endBootstrap(edge.deps, proved())).toEqual({ path: '/root/edge1.xml', copy });
    expect(await edge.deps.files.exists('/root/edge1.xml')).toBe(copy === 'left');
    // Named by status until it is gone.
    expect(edge.node.store.value.leftFile).toBe(copy === 'left' ? '/root/edge1.xml' : undefined);
  });

  it('an unused bootstrap account ends with its time', async () => {
    await createSubscription(edge.deps);
    await edge.clock.advance(DAY - 1);
    expect(await dropExpiredBootstrap(edge.deps)).toBe(false);
    await edge.clock.advance(1);
    expect(await dropExpiredBootstrap(edge.deps)).toBe(true);
    expect([accounts(), edge.node.store.value.subscription]).toEqual([[], undefined]);
    expect(await dropExpiredBootstrap(edge.deps)).toBe(false);
  });

  it('survives a restart of the edge at every point', async () => {
    const { esra } = await subscribe(false);
    const before = edge.node.store.value;
    await edge.node.store.close();
    const again = await openEdgeNode({
      files: edge.deps.files,
      clock: edge.clock,
      random: siteRandom,
      log: silentLog,
      folder: '/var/lib/edge1',
      fqdn: edge.edge.fqdn,
    });
    expect(again.identity.pin).toBe(edge.edge.identity.pin);
    expect(JSON.stringify(again.store.value)).toBe(JSON.stringify(before));
    const name = parseAccountName('ESRA.edge1.hub1.0');
    if (name?.kind !== 'esra') throw new Error('no name');
    expect(
      checkHub(again.store.value, 'edge1', name, 'ESRA.edge1.hub1.0', esra.reveal(), hub.public.pin),
    ).toMatchObject({ outcome: 'hub' });
    expect(again.store.value.addressKey?.key.length).toBe(32);
  });

  it.each([false, true])('removed, leaves nobody in (data kept: %s)', async (keepData) => {
    const { esra } = await subscribe(false);
    await edge.node.store.update((draft) => removedEdgeTrust(draft, 'edge1', { keepData }, edge.clock.now()));
    const { value } = edge.node.store;
    expect([value.accounts, value.hubs, value.subscription]).toEqual([[], {}, undefined]);
    expect(value.addressKey !== undefined).toBe(keepData);
    expect(value.lease.epoch).toBe(1);
    expect(value.usedSubscriptions).toHaveLength(1);
    expect(bind('ESRA.edge1.hub1.0', esra)).toBe('hub hub1 is not admitted');
  });
});
