/** A hub that is killed between any two steps, restored from a backup, alive twice, or one of several: against a real edge, over real sessions. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ShiftedClock } from '../../../test/fakes/shifted-clock.ts';
import { linkIs, LinkedSite } from '../../../test/support/linked-site.ts';
import { type HubDisk, LivingHub } from '../../../test/support/living-hub.ts';
import { until } from '../../../test/support/until.ts';
import { accountsOf } from '../../credential/edge-pairs.ts';
import { pairWarnings } from '../../daemon/edge/pair-status.ts';
import type { EdgeLink } from '../push/edge-link.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

let clock: ShiftedClock;
let site: LinkedSite;
let started: AsyncDisposableStack;

beforeEach(async () => {
  clock = new ShiftedClock();
  site = await LinkedSite.start({}, clock);
  started = new AsyncDisposableStack();
});
afterEach(async () => {
  await started.disposeAsync();
  await site[Symbol.asyncDispose]();
});

function linked(hub: LivingHub): EdgeLink {
  const link = hub.link({ lockMs: 300 * DAY });
  link.start();
  return link;
}

const settled = (link: EdgeLink) =>
  linkIs(link, ({ state, configurationDue }) => state === 'Synchronized' && !configurationDue);
/** A hub on this disk, as after a start of its process. */
const onDisk = async (disk: HubDisk, before?: (what: string) => void): Promise<LivingHub> =>
  started.use(
    await LivingHub.make('hub1', {
      directory: site.configuration,
      clock,
      disk,
      ...(before === undefined ? {} : { before }),
    }),
  );
const rotate = (hub: LivingHub): Promise<void> =>
  hub.renewals.of('edge1').command({ type: 'rotate', now: true }, hub.renewals.signal);
const onEdge = (name = 'hub1'): number[] =>
  accountsOf(site.trust.value.accounts, name).map(({ name: account }) => Number(account.split('.')[3]));
const inDirectory = async (of: LivingHub): Promise<{ own: number[]; published: number[] }> => {
  of.records.lookAgain();
  return of.records.observe('edge1');
};
const edgeWarnings = (): string[] =>
  pairWarnings(site.trust.value, site.services.pairs.timings, clock.now()).map(({ code }) => code);
const lookUntil = (hub: LivingHub, fits: () => boolean): Promise<unknown> =>
  until(
    'what the hub looks for',
    async () => {
      await hub.look();
      return fits();
    },
    (reached) => reached,
  );

class Killed extends Error {}

/** Counts down with each thing that is done; then nothing is done any more. */
function fuse(): {
  readonly light: (steps: number) => void;
  readonly burn: (what: string) => void;
  readonly last: () => string;
} {
  let left = Number.POSITIVE_INFINITY;
  let last = '';
  return {
    light: (steps) => void (left = steps),
    burn: (what) => {
      if (left-- <= 0) throw new Killed();
      last = what;
    },
    last: () => last,
  };
}

describe('killed', () => {
  it('between any two steps of a rotation: the next start finishes it', async () => {
    await settled(linked(site.hub));
    const { disk } = site.hub;
    await site.hub[Symbol.asyncDispose]();
    const cutAfter: string[] = [];
    for (let steps = 0; ; steps++) {
      const { light, burn, last } = fuse();
      const before = Math.max(...onEdge());
      const died = await (async () => {
        await using hub = await LivingHub.make('hub1', {
          directory: site.configuration,
          clock,
          disk,
          before: burn,
        });
        light(steps);
        try {
          await rotate(hub);
          for (let look = 0; look < 3; look++) await hub.look();
          return false;
        } catch (error) {
          if (!(error instanceof Killed)) throw error;
          return true;
        }
      })();
      await using hub = await LivingHub.make('hub1', { directory: site.configuration, clock, disk });
      await settled(linked(hub));
      await lookUntil(
        hub,
        () => hub.pair.generations.length === 1 && hub.pair.generations[0]?.confirmed === true,
      );
      expect(onEdge()).toEqual([hub.pair.using]);
      expect(await inDirectory(hub)).toEqual({ own: onEdge(), published: onEdge() });
      expect(hub.warnings).toEqual([]);
      // Before the command is on the disk it was never given.
      if (steps > 1) expect(hub.pair.using).toBeGreaterThan(before);
      if (!died) break;
      // The first is cut before anything.
      if (last() !== '') cutAfter.push(last());
    }
    expect(new Set(cutAfter)).toEqual(
      new Set([
        'the state is written',
        'the state is on the disk',
        'the configuration directory is written',
        'the configuration directory is on the disk',
        'the edge is called',
      ]),
    );
    expect(cutAfter.length).toBeGreaterThan(12);
  });

  it('in the middle of a recovery: it is counted once', async () => {
    const first = linked(site.hub);
    await settled(first);
    await first.stop();
    const { disk } = site.hub;
    await site.hub[Symbol.asyncDispose]();
    // The edge takes ten requests at once from a hub, and then one in ten seconds.
    for (let steps = 0; ; steps += 3) {
      const allowed = site.trust.value.pairs['hub1']?.recoveries ?? 0;
      clock.shift(60 * DAY);
      await site.services.pairs.cycle();
      const { light, burn } = fuse();
      const died = await (async () => {
        await using hub = await LivingHub.make('hub1', {
          directory: site.configuration,
          clock,
          disk,
          before: burn,
        });
        light(steps);
        return await hub.look().then(
          () => false,
          (error: unknown) => {
            if (!(error instanceof Killed)) throw error;
            return true;
          },
        );
      })();
      await using hub = await LivingHub.make('hub1', { directory: site.configuration, clock, disk });
      await lookUntil(hub, () => hub.pair.using !== undefined);
      expect(onEdge()).toEqual([hub.pair.using]);
      expect((site.trust.value.pairs['hub1']?.recoveries ?? 0) - allowed).toBe(1);
      // So that the next one is granted.
      const link = linked(hub);
      await settled(link);
      clock.shift(23 * DAY + MINUTE);
      await lookUntil(hub, () => hub.pair.generations.every(({ confirmed }) => confirmed));
      clock.shift(4 * DAY);
      await lookUntil(hub, () => site.trust.value.pairs['hub1']?.recoveries === 0);
      await link.stop();
      if (!died) break;
    }
  });
});

describe('a hub restored from a backup', () => {
  it('gets fresh keys by itself, and says so until its next ordinary renewal', async () => {
    await settled(linked(site.hub));
    const backup = site.hub.copyDisk();
    for (let day = 0; day < 10; day++) {
      clock.shift(DAY);
      await site.hub.look();
    }
    await site.hub[Symbol.asyncDispose]();
    const hub = await onDisk(backup);
    await hub.look();
    expect(hub.warnings).toEqual(['credential.restored']);
    expect(edgeWarnings()).toEqual(['credential.restored']);
    expect(hub.pair.using).toBeGreaterThan(0);
    expect(onEdge()).toEqual([hub.pair.using]);
    await settled(linked(hub));
    for (let day = 0; day < 30; day++) {
      clock.shift(DAY);
      await lookUntil(hub, () => true);
    }
    expect(hub.warnings).toEqual([]);
    expect(edgeWarnings()).toEqual([]);
    expect((await inDirectory(hub)).own).toEqual([hub.pair.using]);
  });

  it('of before a renewal, whose account has gone since: gets in again all the same', async () => {
    await settled(linked(site.hub));
    const backup = site.hub.copyDisk();
    await rotate(site.hub);
    await lookUntil(site.hub, () => site.hub.pair.generations.length === 1);
    await site.hub[Symbol.asyncDispose]();
    clock.shift(10 * MINUTE);
    const hub = await onDisk(backup);
    await lookUntil(hub, () => hub.pair.using !== undefined);
    expect(hub.pair.using).toBeGreaterThan(0);
    expect(onEdge()).toEqual([hub.pair.using]);
  });
});

describe('two copies of a hub', () => {
  it('are found out, and the pair is suspended until one is off and that is said', async () => {
    await settled(linked(site.hub));
    const copy = await onDisk(site.hub.copyDisk());
    // Both go on as if they were alone.
    await until(
      'the suspension',
      async () => {
        await copy.look();
        await site.hub.look();
        clock.shift(MINUTE);
        return [copy.warnings, site.hub.warnings, edgeWarnings()].filter((codes) =>
          codes.includes('credential.two-instances'),
        ).length;
      },
      (count) => count === 3,
    );
    expect(site.hub.pair.phase).toBe('suspended');
    await copy[Symbol.asyncDispose]();
    for (let look = 0; look < 3; look++) await site.hub.look();
    expect(site.hub.pair.phase).toBe('suspended');
    await site.services.pairs.handle('hub1', { type: 'resolve' });
    await lookUntil(site.hub, () => site.hub.pair.phase === 'active' && site.hub.pair.using !== undefined);
    expect(onEdge()).toEqual([site.hub.pair.using]);
    expect(site.hub.warnings).not.toContain('credential.two-instances');
  });
});

describe('several hubs', () => {
  it('each renews its own, whoever brings the records', async () => {
    const links = [linked(site.hub)];
    await settled(links[0] as EdgeLink);
    const hubs = [site.hub];
    for (const name of ['hub2', 'hub3']) {
      const hub = started.use(await LivingHub.make(name, { directory: site.configuration, clock }));
      await site.hub.admit(hub);
      hubs.push(hub);
      links.push(linked(hub));
    }
    const [first] = links;
    await until(
      'the accounts of all',
      () => {
        // As the watch of the shared directory does.
        first?.pokeConfiguration();
        return links.slice(1).map(({ status }) => status.failureDetail ?? '');
      },
      (details) => details.every((detail) => detail.includes('hub1 holds the lease')),
    );
    for (let day = 0; day < 33; day++) {
      clock.shift(DAY);
      await site.services.pairs.cycle();
      for (const hub of hubs) await hub.look();
      first?.pokeConfiguration();
      for (const hub of hubs)
        expect([hub.name, hub.warnings, onEdge(hub.name).includes(hub.pair.using ?? -1)]).toEqual([
          hub.name,
          [],
          true,
        ]);
    }
    for (const hub of hubs) {
      expect(hub.pair.using).toBe(1);
      expect(await inDirectory(hub)).toEqual({ own: onEdge(hub.name), published: onEdge(hub.name) });
    }
  });
});
