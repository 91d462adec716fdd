/** The life of a hub's credentials against a real edge, over real sessions: months and years of it, and what goes wrong in them. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ShiftedClock } from '../../../test/fakes/shifted-clock.ts';
import { linkIs, LinkedSite } from '../../../test/support/linked-site.ts';
import { LivingHub } from '../../../test/support/living-hub.ts';
import { until } from '../../../test/support/until.ts';
import { PosternError } from '../../base/error.ts';
import { accountsOf } from '../../credential/edge-pairs.ts';
import { pairWarnings } from '../../daemon/edge/pair-status.ts';
import type { EdgeLink } from '../push/edge-link.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

let clock: ShiftedClock;
/** Of the edge, when it is to be another. */
let edgeClock: ShiftedClock;
let site: LinkedSite;
let hub: LivingHub;
let link: EdgeLink;

let started: AsyncDisposableStack;

beforeEach(async () => {
  started = new AsyncDisposableStack();
  clock = new ShiftedClock();
  edgeClock = new ShiftedClock();
  site = await LinkedSite.start({}, edgeClock, clock);
  ({ hub } = site);
  // A lease that time does not end: it is not what is looked at here.
  link = hub.link({ lockMs: 300 * DAY });
  link.start();
  await settled(link);
});
afterEach(async () => {
  await started.disposeAsync();
  await site[Symbol.asyncDispose]();
});

const settled = (of: EdgeLink) =>
  linkIs(of, ({ state, configurationDue }) => state === 'Synchronized' && !configurationDue);

/** Time passes for both; then everything that has come due is done. */
async function pass(ms: number, ...hubs: LivingHub[]): Promise<void> {
  clock.shift(ms);
  edgeClock.shift(ms);
  await site.services.pairs.cycle();
  for (const one of hubs.length === 0 ? [hub] : hubs) await one.look();
}

const onEdge = (name = 'hub1'): number[] =>
  accountsOf(site.trust.value.accounts, name).map(({ name: account }) => Number(account.split('.')[3]));
const inDirectory = async (of = hub): Promise<{ own: number[]; published: number[] }> => {
  of.records.lookAgain();
  return of.records.observe('edge1');
};
const edgeWarnings = (): string[] =>
  pairWarnings(site.trust.value, site.services.pairs.timings, edgeClock.now()).map(({ code }) => code);

/** Until something is reached that needs the edge to have carried out a push. */
async function look(fits: () => boolean, one = hub): Promise<void> {
  await until(
    'what the hub looks for',
    async () => {
      await one.look();
      return fits();
    },
    (reached) => reached,
  );
}
const uses = (number: number) => (): boolean => hub.pair.using === number;

describe('the ordinary life', () => {
  it('four months: renewed every 27, with nothing asked, and nothing left behind', async () => {
    const used = new Set<number>();
    for (let day = 0; day < 120; day++) {
      await pass(DAY);
      const { using = -1 } = hub.pair;
      used.add(using);
      expect(hub.warnings).toEqual([]);
      expect(onEdge().length).toBeLessThanOrEqual(2);
      expect(onEdge()).toContain(using);
      const { own, published } = await inDirectory();
      expect(own.length).toBeLessThanOrEqual(2);
      expect(published.sort()).toEqual(own.sort());
    }
    expect([...used]).toEqual([0, 1, 2, 3, 4]);
    expect(edgeWarnings()).toEqual([]);
    // The session that pushes goes with the credential.
    expect((await settled(link)).credential).toBe('ESRA.edge1.hub1.4');
  });

  it('a successor is proved before its time, and is used from its time on', async () => {
    await pass(23 * DAY + MINUTE);
    await look(() => hub.pair.generations.every(({ confirmed }) => confirmed));
    expect(onEdge()).toEqual([0, 1]);
    expect(hub.pair.using).toBe(0);
    await pass(4 * DAY);
    expect(hub.pair.using).toBe(1);
    expect(onEdge()).toEqual([0, 1]);
    await pass(3 * DAY);
    expect(onEdge()).toEqual([1]);
    expect(await inDirectory()).toEqual({ own: [1], published: [1] });
  });

  it('one that is not confirmed: the old one is used to its end, and the warning says why', async () => {
    // Nobody brings the records any more.
    await link.stop();
    await pass(28 * DAY);
    await pass(5 * MINUTE);
    expect(hub.pair.using).toBe(0);
    expect(hub.pair.warnings).toEqual({ 'credential.unconfirmed': 'the edge refuses it' });
    await pass(2 * DAY);
    // Then the hub hands it over itself.
    expect(hub.pair.using).toBe(1);
    expect(hub.warnings).toEqual(['credential.recovered']);
    expect(onEdge()).toEqual([1]);
  });
});

describe('commands', () => {
  const command = (event: Parameters<ReturnType<typeof hub.renewals.of>['command']>[0]): Promise<void> =>
    hub.renewals.of('edge1').command(event, hub.renewals.signal);

  it('rotate --now: a fresh credential is in use within a moment, and the old one is gone', async () => {
    await command({ type: 'rotate', now: true });
    await look(() => hub.pair.using === 1 && hub.pair.generations.length === 1);
    expect(onEdge()).toEqual([1]);
    expect(await inDirectory()).toEqual({ own: [1], published: [1] });
    expect(hub.warnings).toEqual([]);
    expect((await settled(link)).consecutiveFailures).toBe(0);
  });

  it('rotate: the successor is made now, and waits for its time', async () => {
    await command({ type: 'rotate', now: false });
    await look(() => hub.pair.generations.every(({ confirmed }) => confirmed));
    expect([hub.pair.using, onEdge()]).toEqual([0, [0, 1]]);
    await pass(4 * DAY + MINUTE);
    expect(hub.pair.using).toBe(1);
  });

  it('revoke, of the only one: another one is made before it goes', async () => {
    await command({ type: 'revoke', number: 0 });
    await look(uses(1));
    await look(() => onEdge().length === 1);
    expect(onEdge()).toEqual([1]);
  });

  it('revoke on the edge: the hub makes another one by itself', async () => {
    await site.services.pairs.handle('hub1', { type: 'revoke', number: 0 });
    await pass(6 * MINUTE);
    await look(() => (hub.pair.using ?? 0) > 0);
    expect(onEdge()).toEqual([hub.pair.using]);
  });

  it('end: the edge is told, the accounts go, and so do the records', async () => {
    await link.stop();
    expect(await hub.renewals.end('edge1', MINUTE)).toBe(true);
    expect(onEdge()).toEqual([]);
    await hub.look();
    expect(await inDirectory()).toEqual({ own: [], published: [] });
  });
});

describe('away for longer than a credential lives', () => {
  it('a hub: comes back by itself, three times in a row, then when it is allowed to', async () => {
    await link.stop();
    for (const left of [2, 1, 0]) {
      await pass(60 * DAY);
      expect(hub.pair.using).toBeDefined();
      expect(hub.warnings).toEqual(['credential.recovered']);
      expect(onEdge()).toEqual([hub.pair.using]);
      const { recoveries } = site.trust.value.pairs['hub1'] ?? { recoveries: -1 };
      expect(3 - recoveries).toBe(left);
    }
    await pass(60 * DAY);
    expect(hub.pair.using).toBeUndefined();
    expect(hub.warnings).toContain('credential.recovery-exhausted');
    expect(edgeWarnings()).toContain('credential.recovery-exhausted');
    await site.services.pairs.handle('hub1', { type: 'allow-recovery' });
    await pass(5 * MINUTE);
    expect(hub.pair.using).toBeDefined();
    expect(hub.warnings).toEqual(['credential.recovered']);
  });

  it('an edge: the hub goes on making successors, and the last one is what it comes back with', async () => {
    await link.stop();
    let away = true;
    const before = (what: string): void => {
      if (away && what === 'the edge is called') throw new PosternError('connect.failed', 'no answer');
    };
    hub = await restarted({ before });
    for (let day = 0; day < 60; day += 5) await pass(5 * DAY);
    expect(onEdge()).toEqual([0]);
    away = false;
    await pass(5 * MINUTE);
    expect(hub.pair.using).toBeGreaterThan(0);
    expect(hub.warnings).toEqual(['credential.recovered']);
    expect(onEdge()).toEqual([hub.pair.using]);
  });

  it('and renews in the ordinary way after that, which ends the warning and counts recoveries anew', async () => {
    await link.stop();
    await pass(60 * DAY);
    link = hub.link({ lockMs: 300 * DAY });
    link.start();
    await settled(link);
    for (let day = 0; day < 31; day++) await pass(DAY);
    expect(hub.warnings).toEqual([]);
    expect(site.trust.value.pairs['hub1']?.recoveries).toBe(0);
  });
});

describe('clocks', () => {
  it.each([8 * MINUTE, -8 * MINUTE])('%i ms apart: nobody notices', async (apart) => {
    edgeClock.shift(apart);
    for (let day = 0; day < 32; day++) await pass(DAY);
    expect([hub.pair.using, hub.warnings, edgeWarnings()]).toEqual([1, [], []]);
  });

  it('20 minutes apart: said with both clocks, nothing is renewed, and the session works', async () => {
    edgeClock.shift(20 * MINUTE);
    await pass(28 * DAY);
    const [here, there] = [clock.now(), edgeClock.now()].map((at) => new Date(at).toISOString().slice(0, 13));
    expect(hub.pair.warnings['clock.skew']).toMatch(new RegExp(`hub says ${here}.* edge ${there}`));
    expect(hub.pair.generations).toHaveLength(1);
    expect(hub.pair.using).toBe(0);
    edgeClock.shift(-20 * MINUTE);
    await look(uses(1));
    expect(hub.warnings).toEqual([]);
  });
});

/** The hub's process ends, and is started again on what is on its disk. */
async function restarted(change: Partial<Parameters<typeof LivingHub.make>[1]> = {}): Promise<LivingHub> {
  const { disk } = hub;
  await hub[Symbol.asyncDispose]();
  return started.use(await LivingHub.make('hub1', { directory: site.configuration, clock, disk, ...change }));
}
