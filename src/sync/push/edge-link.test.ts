/** The link against a real edge: what arrives, what is written, what is not. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { linkIs, LinkedSite } from '../../../test/support/linked-site.ts';
import {
  complete,
  guid,
  map,
  openTestMirror,
  packCookie,
  position,
  remove,
  upsert,
} from '../../../test/support/mirror.ts';
import { until } from '../../../test/support/until.ts';
import { systemClock } from '../../base/clock.ts';
import { PosternError } from '../../base/error.ts';
import { createMemoryStore } from '../../directory/store/store.ts';
import { parseDomainInput } from '../organisation/domain.ts';
import { guidText } from '../recipient.ts';
import type { EdgeLink } from './edge-link.ts';
import type { LinkStatus } from './link-status.ts';
import { readEdgeState } from './edge-query.ts';

let site: LinkedSite;

beforeEach(async () => {
  site = await LinkedSite.start();
});
afterEach(() => site[Symbol.asyncDispose]());

const dn = (n: number): string => `cn=${guidText(guid(n))},cn=Recipients`;
const people = (...ns: number[]) => ns.map((n) => upsert(n, `user${n}@example.org`));
const numbers = (count: number, from = 1): number[] => Array.from({ length: count }, (_, n) => n + from);
const settled =
  (sequence: number) =>
  ({ progress, state }: LinkStatus): boolean =>
    state === 'Synchronized' && (progress.settledSequence ?? -1) >= sequence;

/** Resolves when the edge has what the mirror has now. */
const inStep = (link: EdgeLink): Promise<LinkStatus> => linkIs(link, settled(site.mirror.position.sequence));

/** Writes on the edge of recipients since the last call. */
function recipientWrites(): string[] {
  return site.written.splice(0).filter((name) => name.endsWith('cn=Recipients'));
}

describe('the first load', () => {
  it('recipients arrive while the source is still being read, but nothing is complete before it is', async () => {
    const link = site.link();
    link.start();
    await site.feed(...people(...numbers(1500)));
    await until(
      'recipients arrive',
      () => site.recipients().length,
      (count) => count === 1500,
    );
    expect(link.status).toMatchObject({ state: 'InProgress', progress: { total: undefined } });
    expect(link.client && (await readEdgeState(link.client, 'recipients')).loadState).toBe('loading');
    await site.feed(...people(1501), complete(true));
    const status = await inStep(link);
    expect(status.progress).toMatchObject({ pushed: 1501, total: 1501, inStep: true, settled: true });
    expect(link.client && (await readEdgeState(link.client, 'recipients'))).toMatchObject({
      loadState: 'complete',
      digest: { count: 1501 },
    });
  });

  it('an account of its own takes the place of the bootstrap account, without a refused bind', async () => {
    expect((await site.organisation.target('edge1', Date.now())).bootstrap?.userName).toBe('ESRA.edge1');
    await site.feed(complete(true));
    const link = site.link();
    link.start();
    const status = await inStep(link);
    expect(status).toMatchObject({
      credential: 'ESRA.edge1.hub1.0',
      holdsLease: true,
      consecutiveFailures: 0,
    });
    expect((await site.organisation.target('edge1', Date.now())).bootstrap).toBeUndefined();
  });
});

describe('in step', () => {
  let link: EdgeLink;
  beforeEach(async () => {
    await site.feed(...people(...numbers(600)), complete(true));
    link = site.link();
    link.start();
    await inStep(link);
    recipientWrites();
  });

  it('a change is written, and nothing else', async () => {
    await site.feed(upsert(7, 'other@example.org'), remove(8), ...people(9, 1000), position('d'));
    await inStep(link);
    expect(recipientWrites().sort()).toEqual([dn(7), dn(8), dn(1000)].sort());
    expect(site.recipients()).toHaveLength(600);
  });

  it('after a new connection it goes on, with the same lease and without writing', async () => {
    const epoch = site.services.lease.status.epoch;
    site.directory.terminate((session) => session.identity.role === 'hub');
    await linkIs(link, ({ consecutiveFailures }) => consecutiveFailures === 1);
    const status = await inStep(link);
    expect(status).toMatchObject({
      consecutiveFailures: 0,
      failureDetail: undefined,
      progress: { pushed: 0 },
    });
    expect(site.services.lease.status.epoch).toBe(epoch + 1);
    expect(recipientWrites()).toEqual([]);
  });

  it('changes while it is away arrive afterwards', async () => {
    await link.stop();
    expect(link.status).toMatchObject({ state: 'NotStarted', holdsLease: false });
    expect(site.services.lease.status.state).toBe('free');
    await site.feed(remove(5), ...people(2000), position('e'));
    const next = site.link();
    next.start();
    await inStep(next);
    expect(recipientWrites().sort()).toEqual([dn(5), dn(2000)].sort());
  });

  it('a comparison of everything mends what was altered, lost and added on the edge, and writes that only', async () => {
    const address = { type: 'posternAddress', values: [Buffer.alloc(16, 9)] };
    await site.directory.apply([
      { request: { op: 'deleteRequest', dn: dn(3) } },
      { request: { op: 'modifyRequest', dn: dn(4), changes: [{ kind: 'replace', attribute: address }] } },
      {
        request: {
          op: 'addRequest',
          dn: dn(5000),
          attributes: [
            { type: 'objectClass', values: [Buffer.from('posternRecipient')] },
            { type: 'cn', values: [Buffer.from(guidText(guid(5000)))] },
            address,
          ],
        },
      },
    ]);
    recipientWrites();
    link.restart();
    await inStep(link);
    expect(recipientWrites()).toEqual([]);
    link.restart({ compareAll: true });
    expect(link.status.state).toBe('InProgress');
    await inStep(link);
    expect(recipientWrites().sort()).toEqual([dn(3), dn(4), dn(5000)].sort());
    expect(site.recipients()).toHaveLength(600);
  });

  it('what the removal guard holds back is not removed again by a comparison', async () => {
    // 20 % of 600 are 120.
    await site.feed(...numbers(200).map(remove), position('f'));
    await inStep(link);
    expect(await site.services.removals.pending('recipients')).toBeGreaterThan(0);
    const pending = await site.services.removals.pending('recipients');
    recipientWrites();
    link.restart({ compareAll: true });
    await inStep(link);
    expect(recipientWrites()).toEqual([]);
    expect(await site.services.removals.pending('recipients')).toBe(pending);
  });

  it('a domain is pushed at once, and that is known', async () => {
    await site.organisation.putDomain(parseDomainInput({ domain: 'example.org' }));
    link.pokeConfiguration();
    expect(link.status.configurationDue).toBe(true);
    await linkIs(link, ({ configurationDue }) => !configurationDue);
    expect(site.directory.readEntry('cn=example.org,cn=AcceptedDomains,cn=Configuration')).toBeDefined();
    expect(recipientWrites()).toEqual([]);
  });

  it('a second link stands by, and takes over when the first one ends', async () => {
    const second = site.link({ hubName: 'hub2' });
    second.start();
    const standing = await linkIs(second, ({ state }) => state === 'Skipped');
    expect(standing).toMatchObject({ holdsLease: false, consecutiveFailures: 0 });
    expect(standing.failureDetail).toContain('[lease.held]');
    await link.stop();
    expect(await inStep(second)).toMatchObject({ holdsLease: true });
    await site.feed(...people(3000), position('g'));
    await inStep(second);
    expect(recipientWrites()).toEqual([dn(3000)]);
  });
});

describe('a configuration that cannot be read', () => {
  it('holds up nothing that stands, and is pushed when it can be read again', async () => {
    let away = false;
    const link = site.link({
      target: () =>
        away
          ? Promise.reject(new PosternError('connect.failed', 'the directory is away'))
          : site.organisation.target('edge1', systemClock.now()),
      clock: {
        ...systemClock,
        after: (name, ms, ...rest) =>
          systemClock.after(name, name === 'link.configuration' ? 50 : ms, ...rest),
      },
    });
    link.start();
    await site.feed(...people(1), complete(true));
    await inStep(link);
    const { client } = link;
    away = true;
    await site.organisation.putDomain(parseDomainInput({ domain: 'late.example' }));
    link.pokeConfiguration();
    await site.feed(...people(2));
    await inStep(link);
    expect(site.recipients()).toHaveLength(2);
    expect([link.client, link.status.configurationDue]).toEqual([client, true]);
    away = false;
    await linkIs(link, ({ configurationDue }) => !configurationDue);
    expect(link.client).toBe(client);
    expect(site.written).toContain('cn=late.example,cn=AcceptedDomains,cn=Configuration');
  });
});

describe('a mirror that is behind', () => {
  it('an edge with data is left alone until the source has confirmed the mirror', async () => {
    await site.feed(...people(1, 2, 3), complete(true));
    const first = site.link();
    first.start();
    await inStep(first);
    await first.stop();
    recipientWrites();
    const empty = openTestMirror(createMemoryStore(), undefined, 'another');
    const second = site.link({ mirror: empty });
    second.start();
    await linkIs(second, ({ holdsLease, configurationDue }) => holdsLease && !configurationDue);
    const pass = await empty.begin({ map, packCookie });
    await pass.apply(people(1, 2));
    expect(second.status.state).toBe('InProgress');
    expect(recipientWrites()).toEqual([]);
    await pass.apply([...people(4), complete(true)]);
    await linkIs(second, settled(empty.position.sequence));
    expect(recipientWrites().sort()).toEqual([dn(3), dn(4)].sort());
    expect(site.recipients()).toEqual([dn(1), dn(2), dn(4)].sort());
  });
});

describe('failures', () => {
  it('are counted, said, and tried again', async () => {
    await site.feed(complete(true));
    let broken = true;
    const link = site.link({
      target: () => {
        if (broken) throw new PosternError('credential.invalid', 'the key is gone');
        return site.organisation.target('edge1', Date.now());
      },
    });
    link.start();
    const status = await linkIs(link, ({ consecutiveFailures }) => consecutiveFailures === 2);
    expect(status).toMatchObject({ state: 'Expired', failureDetail: 'the key is gone [credential.invalid]' });
    broken = false;
    link.restart();
    expect(await inStep(link)).toMatchObject({ consecutiveFailures: 0 });
  });

  it('another key than the pinned one gets nothing, not even a name', async () => {
    await site.feed(complete(true));
    const link = site.link({
      target: async () => {
        const target = await site.organisation.target('edge1', Date.now());
        const pins = { current: target.address.identity.pin };
        return { ...target, address: { ...target.address, pins } };
      },
    });
    link.start();
    const status = await linkIs(link, ({ consecutiveFailures }) => consecutiveFailures > 0);
    expect(status.failureDetail).toContain('[pin.mismatch]');
    expect(site.directory.readEntry('cn=hub1,cn=Hubs,cn=Configuration')).toBeUndefined();
  });
});

describe('a hub without a source', () => {
  it('pushes topology and domains, and leaves recipients alone', async () => {
    await site.feed(...people(1, 2), complete(true));
    const first = site.link();
    first.start();
    await inStep(first);
    await first.stop();
    recipientWrites();
    await site.organisation.putDomain(parseDomainInput({ domain: 'example.net' }));
    const link = site.link({ mirror: undefined });
    link.start();
    const status = await linkIs(link, ({ state }) => state === 'Synchronized');
    expect(status).toMatchObject({ holdsLease: true, configurationDue: false, progress: { total: 0 } });
    expect(site.directory.readEntry('cn=example.net,cn=AcceptedDomains,cn=Configuration')).toBeDefined();
    expect(site.recipients()).toHaveLength(2);
    expect(recipientWrites()).toEqual([]);
  });
});
