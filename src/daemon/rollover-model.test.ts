/**
 * Both sides of a pair roll over as they like, through outages, kills, writes that are lost and backups that are restored: whenever the two can reach
 * each other, each accepts the other. Run on the very parts of the daemons.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/clock.ts';
import type { FakeFiles } from '../../test/fakes/files.ts';
import { OVERLAP_MS, RolloverPair, type Side } from '../../test/support/rollover-pair.ts';
import type { Timer } from '../base/clock.ts';
import { isPosternError } from '../base/error.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

type Step =
  | { readonly do: 'renew' | 'kill' | 'lose-write' | 'restore' | 'backup'; readonly side: Side }
  | { readonly do: 'live'; readonly hours: number }
  | { readonly do: 'outage'; readonly days: number };

const side = fc.constantFrom<Side>('edge', 'hub');
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('renew' as const), side }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('kill' as const), side }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('lose-write' as const), side }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('backup' as const), side }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('restore' as const), side }) },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('live' as const), hours: fc.integer({ min: 1, max: 400 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('outage' as const), days: fc.integer({ min: 1, max: 120 }) }),
  },
);

interface Backup {
  readonly files: FakeFiles;
  readonly at: number;
  readonly rollovers: number;
}

/** Timers never come: whoever cares calls the cycles. */
class StillClock extends FakeClock {
  #passed = 0;

  override now(): number {
    return super.now() + this.#passed;
  }

  override after(): Timer {
    return { cancel: () => undefined };
  }

  pass(ms: number): void {
    this.#passed += ms;
  }
}

class Run {
  readonly clock = new StillClock();
  readonly #backups = new Map<Side, Backup>();
  pair!: RolloverPair;

  async begin(): Promise<void> {
    this.pair = await RolloverPair.make(this.clock);
  }

  async take(one: Step): Promise<void> {
    const { pair, clock } = this;
    switch (one.do) {
      case 'renew':
        await pair[one.side].keeper.renew().catch(expected);
        return;
      case 'kill':
        await pair.kill(one.side);
        return;
      case 'lose-write':
        pair[one.side].files.fail({ on: 'rename', code: 'EIO' });
        return;
      case 'backup':
        this.#backups.set(one.side, {
          files: pair.backup(one.side),
          at: clock.now(),
          rollovers: pair[one.side].node.store.value.successions.length,
        });
        return;
      case 'restore': {
        const backup = this.#backups.get(one.side);
        this.#backups.delete(one.side);
        const since = pair[one.side].node.store.value.successions.length - (backup?.rollovers ?? 0);
        // As the documents say: younger than the overlap, and not from before the last rollover but one.
        if (backup === undefined || clock.now() - backup.at >= OVERLAP_MS - DAY || since > 1) return;
        await pair.restore(one.side, backup.files);
        return;
      }
      case 'live':
        await this.live(one.hours);
        return;
      case 'outage':
        for (let day = 0; day < one.days; day += 4) {
          this.clock.pass(4 * DAY);
          for (const each of ['edge', 'hub'] as const) await pair[each].keeper.cycle();
        }
        // Whatever is out of date is older than what a backup may bring back.
        this.#backups.clear();
        await this.live(1);
    }
  }

  async live(hours: number, every = 24): Promise<void> {
    for (let passed = 0; passed < hours; passed += every) {
      this.clock.pass(Math.min(every, hours - passed) * HOUR);
      expect(await this.#contact()).toBeUndefined();
    }
  }

  /** A write that fails is no reason to refuse: the next attempt succeeds. */
  async #contact(): Promise<string | undefined> {
    try {
      return await this.pair.contact();
    } catch (error) {
      expected(error);
      return this.pair.contact();
    }
  }
}

function expected(error: unknown): void {
  if (!isPosternError(error, 'refused', 'file.unwritable', 'store.closed')) throw error;
}

describe('two that roll over as they like', () => {
  it('accept each other whenever they can reach each other, and come to rest', async () => {
    let contacts = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
        const run = new Run();
        await run.begin();
        for (const one of steps) {
          await run.take(one);
          contacts++;
        }
        for (const each of ['edge', 'hub'] as const) run.pair[each].files.heal();
        await run.live((4 * OVERLAP_MS) / HOUR, 84);
        expect(run.pair.settled()).toBe(true);
      }),
      { numRuns: 15 },
    );
    expect(contacts).toBeGreaterThan(50);
  });

  it('whoever was away for years follows eight rollovers, and no more', async () => {
    for (const [rollovers, back] of [
      [8, undefined],
      [9, 'the hub does not accept the edge'],
    ] as const) {
      const run = new Run();
      await run.begin();
      for (let count = 0; count < rollovers; count++) {
        await run.pair.edge.keeper.renew();
        // Nobody is there: the overlap passes twice.
        for (let days = 0; days < 40; days += 10) {
          run.clock.pass(10 * DAY);
          await run.pair.edge.keeper.cycle();
        }
      }
      expect(await run.pair.contact()).toBe(back);
    }
  });
});
