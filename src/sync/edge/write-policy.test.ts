/** The edge's own judgement of commits, on a real directory in memory. */
import { beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../../test/fakes/clock.ts';
import { fakeRandom } from '../../../test/fakes/random.ts';
import { silentLog } from '../../base/log.ts';
import type { TrustStore } from '../../certificate/trust-store.ts';
import { Directory, Session, type Update } from '../../directory/directory.ts';
import { createMemoryStore } from '../../directory/store/store.ts';
import {
  encodeLeaseRequest,
  encodeRemovalsRequest,
  decodeRemovalsResponse,
  type RemovalAction,
} from '../../ldap/postern-extended.ts';
import type { EdgeTrustState } from '../../subscription/trust-state.ts';
import { guidText } from '../recipient.ts';
import { LeaseService } from './lease-service.ts';
import { RemovalService } from './removal-service.ts';
import { WritePolicy } from './write-policy.ts';

const HUB = { role: 'hub', dn: 'cn=ESRA.edge.hub.0,cn=Accounts', authorizationId: '' };
const guid = (n: number): string => guidText(Buffer.alloc(16, n));
const address = (n: number): Buffer => Buffer.alloc(16, n);
const text = (type: string, ...values: string[]) => ({ type, values: values.map((v) => Buffer.from(v)) });

/** Only what the services use of it. */
function memoryTrust(): TrustStore<EdgeTrustState> {
  let value = { lease: { epoch: 0, holder: '', expiresAt: 0 }, removals: {} } as EdgeTrustState;
  return {
    get value() {
      return value;
    },
    repaired: [],
    async update(change) {
      value = change(structuredClone(value));
    },
    async close() {},
  };
}

interface Site {
  trust: TrustStore<EdgeTrustState>;
  directory: Directory;
  session: Session;
  clock: FakeClock;
  lease: LeaseService;
  removals: RemovalService;
  commit: (...updates: Update['request'][]) => Promise<unknown>;
}

async function site(limits = { most: 3, share: 0.5 }): Promise<Site> {
  const clock = new FakeClock();
  const random = fakeRandom();
  const trust = memoryTrust();
  const lease = new LeaseService({ trust, clock, random, log: silentLog });
  const removals = new RemovalService({ directory: () => directory, trust, clock });
  const policy = new WritePolicy({
    directory: () => directory,
    lease,
    trust,
    limits,
    clock,
    log: silentLog,
    onPending: (kind, delta) => removals.adjust(kind, delta),
  });
  const directory: Directory = new Directory({
    store: createMemoryStore(),
    clock,
    random,
    log: silentLog,
    contexts: ['cn=Configuration', 'cn=Recipients', 'cn=Sync'],
    indexes: ['posternAddress'],
    addressHasher: (value) => value,
    access: {
      secrets: [],
      rules: [{ roles: ['hub'], subtree: '', rights: ['read', 'search', 'add', 'delete', 'write'] }],
    },
    hooks: {
      beforeCommit: (session, updates, inTransaction) => policy.judge(session, updates, inTransaction),
    },
  });
  const container = (dn: string, objectClass = 'posternContainer') => ({
    request: {
      op: 'addRequest' as const,
      dn,
      attributes: [text('objectClass', objectClass), text('cn', dn.slice(3).split(',')[0] ?? '')],
    },
  });
  await directory.apply([
    container('cn=Configuration'),
    container('cn=AcceptedDomains,cn=Configuration'),
    container('cn=Hubs,cn=Configuration'),
    container('cn=Edges,cn=Configuration'),
    container('cn=Recipients'),
    container('cn=Sync'),
    container('cn=recipients,cn=Sync', 'posternSyncState'),
  ]);
  const session = new Session({ kind: 'tls' }, HUB);
  await lease.handle(
    encodeLeaseRequest({ action: 'acquire', holder: 'hub', durationSeconds: 360 }),
    session,
    'hub',
  );
  const commit = (...requests: Update['request'][]): Promise<unknown> =>
    directory.apply(
      requests.map((request) => ({ request, idempotent: true })),
      { session },
    );
  return { trust, directory, session, clock, lease, removals, commit };
}

const put = (n: number, ...addresses: number[]): Update['request'] => ({
  op: 'addRequest',
  dn: `cn=${guid(n)},cn=Recipients`,
  attributes: [
    text('objectClass', 'posternRecipient'),
    text('cn', guid(n)),
    text('posternRecipientKind', 'user'),
    { type: 'posternAddress', values: addresses.map(address) },
  ],
});
const remove = (n: number): Update['request'] => ({ op: 'deleteRequest', dn: `cn=${guid(n)},cn=Recipients` });
const planned = (count: number): Update['request'] => ({
  op: 'modifyRequest',
  dn: 'cn=recipients,cn=Sync',
  changes: [{ kind: 'replace', attribute: text('posternPlannedRemovals', String(count)) }],
});

describe('write policy', () => {
  let edge: Site;
  const answers = (n: number): boolean =>
    edge.directory.lookupEquality('posternAddress', address(n)).length > 0;
  const ask = async (action: RemovalAction) =>
    decodeRemovalsResponse(
      (await edge.removals.handle(encodeRemovalsRequest({ action, kind: 'recipients' }))).value,
    );

  beforeEach(async () => {
    edge = await site();
    await edge.commit(...[1, 2, 3, 4, 5, 6, 7, 8].map((n) => put(n, n, n + 100)));
  });

  it('carries few removals out, and holds back what is beyond the budget', async () => {
    await edge.commit(remove(1), remove(2));
    expect([answers(1), answers(2)]).toEqual([false, false]);
    await edge.commit(remove(3), remove(4));
    expect([answers(3), answers(4)]).toEqual([true, true]);
    expect(await ask('list')).toEqual({ pending: 2, approved: 0, rejected: 0 });
  });

  it('counts lost addresses, and keeps them answering', async () => {
    await edge.commit(put(1, 1), put(2, 2), put(3, 3), put(4, 4));
    expect([101, 102, 103, 104].map(answers)).toEqual([true, true, true, true]);
    expect(await ask('list')).toMatchObject({ pending: 4 });
    await edge.commit(put(1, 1, 101));
    expect(await ask('list')).toMatchObject({ pending: 3 });
    expect(await ask('approve')).toMatchObject({ approved: 3, pending: 0 });
    expect([101, 102, 103, 104].map(answers)).toEqual([true, false, false, false]);
  });

  it('judges the pass as announced, not its first portion', async () => {
    await edge.commit(remove(1), planned(8));
    expect(answers(1)).toBe(true);
    expect(edge.directory.readEntry('cn=recipients,cn=Sync')?.values('posternPlannedRemovals')).toEqual([]);
  });

  it('approves, and starts the day anew', async () => {
    await edge.commit(remove(1), remove(2), remove(3), remove(4));
    expect(await ask('approve')).toEqual({ pending: 0, approved: 4, rejected: 0 });
    expect([1, 2, 3, 4].map(answers)).toEqual([false, false, false, false]);
    await edge.commit(remove(5), remove(6));
    expect([5, 6].map(answers)).toEqual([false, false]);
  });

  it('keeps what was rejected, without asking again, until the source has it back', async () => {
    await edge.commit(remove(1), remove(2), remove(3), remove(4));
    expect(await ask('reject')).toEqual({ pending: 0, approved: 0, rejected: 4 });
    await edge.commit(remove(1));
    expect(await ask('approve')).toEqual({ pending: 0, approved: 0, rejected: 0 });
    expect(answers(1)).toBe(true);
    await edge.commit(put(1, 1, 101));
    expect(edge.directory.readEntry(`cn=${guid(1)},cn=Recipients`)?.values('posternKept')).toEqual([]);
  });

  it('reopens what was rejected, to approve it after all', async () => {
    await edge.commit(remove(1), remove(2), remove(3), remove(4));
    await ask('reject');
    expect(await ask('list')).toEqual({ pending: 0, approved: 0, rejected: 4 });
    await edge.commit(put(4, 4, 104));
    expect(await ask('list')).toEqual({ pending: 0, approved: 0, rejected: 3 });
    expect(await ask('reopen')).toEqual({ pending: 3, approved: 0, rejected: 0 });
    expect(await ask('approve')).toMatchObject({ approved: 3, pending: 0 });
    expect([1, 2, 3, 4].map(answers)).toEqual([false, false, false, true]);
  });

  it.each(['CN=%s,cn=recipients', 'cn=%s , CN = Recipients', '2.5.4.3=%s,cn=Recipients'])(
    'is not fooled by the spelling %s',
    async (spelling) => {
      const dn = (n: number): string => spelling.replace('%s', guid(n).toUpperCase());
      await edge.commit(...[1, 2, 3, 4, 5].map((n) => ({ op: 'deleteRequest' as const, dn: dn(n) })));
      expect([1, 2, 3, 4, 5].map(answers)).toEqual([true, true, true, true, true]);
    },
  );

  it('refuses to change recipients in parts', async () => {
    const modify = {
      op: 'modifyRequest' as const,
      dn: `cn=${guid(1)},cn=Recipients`,
      changes: [{ kind: 'replace' as const, attribute: { type: 'posternAddress', values: [] } }],
    };
    await expect(edge.commit(modify)).rejects.toThrow('whole');
    const rename = {
      op: 'modifyDnRequest' as const,
      dn: `cn=${guid(1)},cn=Recipients`,
      newRdn: 'cn=x',
      deleteOldRdn: true,
    };
    await expect(edge.commit(rename)).rejects.toThrow('whole');
  });

  it('always holds domain removals back', async () => {
    const dn = 'cn=example.org,cn=AcceptedDomains,cn=Configuration';
    await edge.commit({
      op: 'addRequest',
      dn,
      attributes: [
        text('objectClass', 'posternAcceptedDomain'),
        text('cn', 'example.org'),
        text('posternDomainKind', 'authoritative'),
      ],
    });
    await edge.commit({ op: 'deleteRequest', dn });
    expect(edge.directory.readEntry(dn)?.values('posternPendingDelete')).toHaveLength(1);
    expect(await edge.removals.pending('domains')).toBe(1);
  });

  it('refuses a connection that does not hold the lease, or whose lease has run out', async () => {
    const other = new Session({ kind: 'tls' }, HUB);
    await expect(edge.directory.apply([{ request: put(9, 9) }], { session: other })).rejects.toThrow(
      'lease.lost',
    );
    await edge.clock.advance(361_000);
    await expect(edge.commit(put(9, 9))).rejects.toThrow('lease.lost');
    expect(answers(9)).toBe(false);
  });

  it('orphans the lease when the connection ends, and does not take it back for a ghost', async () => {
    edge.session.end();
    expect(edge.lease.status.state).toBe('orphaned');
    const late = edge.lease.handle(
      encodeLeaseRequest({ action: 'acquire', holder: 'hub', durationSeconds: 360 }),
      edge.session,
      'hub',
    );
    await expect(late).rejects.toThrow('the connection has ended');
    expect(edge.lease.status.state).toBe('orphaned');
  });

  it('asks for the lease again when a removal has been counted: that takes a while', async () => {
    const { trust } = edge;
    const counted = edge.commit(remove(1));
    // While the count is made durable, the connection ends, and another hub takes over.
    edge.session.end();
    await expect(counted).rejects.toThrow('lease.lost');
    expect(answers(1)).toBe(true);
    expect(trust.value.removals['recipients']).toHaveLength(1);
  });

  const domain = (kind: string, objectClass = 'posternAcceptedDomain'): Update['request'] => ({
    op: 'addRequest',
    dn: 'cn=example.org,cn=AcceptedDomains,cn=Configuration',
    attributes: [text('objectClass', objectClass), text('posternDomainKind', kind)],
  });

  it('lets no domain go by making it one that lookups cannot read', async () => {
    await edge.commit(domain('authoritative'));
    await expect(edge.commit(domain('nothing'))).rejects.toThrow('not a domain');
    await expect(
      edge.commit({ ...domain('authoritative', 'posternContainer'), op: 'addRequest' } as Update['request']),
    ).rejects.toThrow('class');
    await edge.commit(domain('internalRelay'));
  });

  it.each([
    ['below a recipient', `cn=${guid(50)},cn=${guid(1)},cn=Recipients`],
    ['beside the containers', 'cn=evil,cn=Configuration'],
    ['the containers themselves', 'cn=Recipients'],
    ['the state of a kind of data', 'cn=recipients,cn=Sync'],
  ])('adds nothing %s', async (_where, dn) => {
    const add = { ...put(50, 50), dn } as Update['request'];
    await expect(edge.commit(add)).rejects.toThrow('unwillingToPerform');
    await expect(edge.commit({ op: 'deleteRequest', dn })).rejects.toThrow('unwillingToPerform');
    expect(answers(50)).toBe(false);
  });

  it('bounds what is read as a whole whenever it changes, for the bootstrap account too', async () => {
    const hub = (n: number): Update['request'] => ({
      op: 'addRequest',
      dn: `cn=h${n},cn=Hubs,cn=Configuration`,
      attributes: [text('objectClass', 'posternHub'), text('posternFqdn', `h${n}.example`)],
    });
    const many = Array.from({ length: 1000 }, (_, n) => hub(n));
    const bootstrap = new Session({ kind: 'tls' }, { ...HUB, role: 'bootstrap' });
    await edge.commit(...many);
    await edge.commit(...many);
    await expect(edge.commit(hub(1000))).rejects.toThrow('at most 1000');
    await expect(edge.directory.apply([{ request: hub(1000) }], { session: bootstrap })).rejects.toThrow(
      'at most 1000',
    );
  });

  it('tells the bootstrap account nothing of what is elsewhere', async () => {
    const session = new Session({ kind: 'tls' }, { ...HUB, role: 'bootstrap' });
    for (const request of [put(9, 9), remove(1), remove(9)])
      await expect(edge.directory.apply([{ request, idempotent: true }], { session })).rejects.toThrow(
        'topology and nothing else',
      );
  });

  it('does not believe a confirmation from the future', async () => {
    const future = {
      op: 'modifyRequest' as const,
      dn: 'cn=recipients,cn=Sync',
      changes: [{ kind: 'replace' as const, attribute: text('posternLastConfirmed', '29990101000000Z') }],
    };
    await edge.commit(future);
    expect(edge.directory.readEntry('cn=recipients,cn=Sync')?.text('posternLastConfirmed')).toBe(
      '20260101000000Z',
    );
  });
});
