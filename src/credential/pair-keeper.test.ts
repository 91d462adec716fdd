/** The pairs of an edge in its trust store: nothing is lost between state machine and disk, whatever fails, and whenever the process is killed. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/clock.ts';
import { FakeFiles } from '../../test/fakes/files.ts';
import { z } from 'zod';
import { createLog, silentLog } from '../base/log.ts';
import { pinFromBytes } from '../certificate/pin.ts';
import { openTrustStore, type TrustStore } from '../certificate/trust-store.ts';
import { type CredentialState, credentialStateShape } from './credential-state.ts';
import { pairOf, storedPair } from './edge-pairs.ts';
import { type EdgeAction, type EdgeEvent, newEdgePair } from './lifecycle/edge-pair.ts';
import { stepEdge } from './lifecycle/lifecycle.ts';
import { PairKeeper } from './pair-keeper.ts';
import { NO_ACCOUNT_DIGEST } from './password.ts';
import { DEFAULT_TIMINGS } from './schedule.ts';

const MINUTE = 60_000;
const DAY = 86_400_000;
const START = Date.UTC(2026, 10, 1);
const schema = z.strictObject(credentialStateShape);
type State = z.infer<typeof schema> & CredentialState;
const PIN = pinFromBytes(Buffer.alloc(32, 1));
const EMPTY: State = {
  accounts: [],
  pairs: {},
  removedHubs: {},
  hubs: Object.fromEntries(
    ['hub1', 'hub2'].map((name) => [
      name,
      {
        name,
        fqdn: `${name}.example`,
        pins: { current: PIN },
        certificate: Buffer.alloc(1),
        admittedAt: START,
        admittedBy: 'bootstrap' as const,
      },
    ]),
  ),
};

class Edge {
  readonly files: FakeFiles;
  readonly clock: FakeClock;
  readonly store: TrustStore<State>;
  readonly keeper: PairKeeper<State>;
  changes = 0;

  private constructor(files: FakeFiles, clock: FakeClock, store: TrustStore<State>, log = silentLog) {
    this.files = files;
    this.clock = clock;
    this.store = store;
    const onChanged = (): void => void this.changes++;
    this.keeper = new PairKeeper({ store, clock, timings: DEFAULT_TIMINGS, log, onChanged });
  }

  static async open(files = new FakeFiles(), clock = new FakeClock(START), log = silentLog): Promise<Edge> {
    const type = schema as unknown as z.ZodType<State>;
    return new Edge(files, clock, await openTrustStore(files, '/trust', 'edge', type, EMPTY), log);
  }

  handle(event: EdgeEvent, hub = 'hub1'): Promise<readonly EdgeAction[]> {
    const number = 'number' in event ? event.number : 0;
    return this.keeper.handle(hub, event, {
      name: `ESRA.edge1.${hub}.${number}`,
      password: NO_ACCOUNT_DIGEST,
    });
  }

  get pair() {
    return pairOf(this.store.value, 'hub1');
  }
}

const window = (effectiveAt: number, days = 30) => ({ effectiveAt, expiresAt: effectiveAt + days * DAY });
const record = (number: number, at = START): EdgeEvent => ({
  type: 'record',
  number,
  window: window(at),
  recordId: `record ${number}`,
});
const bind = (number: number, counter: number, instance = 'a'): EdgeEvent => ({
  type: 'bind',
  number,
  instance,
  counter,
});
const install = (number: number, at: number, session?: number, instance = 'a'): EdgeEvent => ({
  type: 'install',
  number,
  window: window(at),
  recordId: `record ${number}`,
  session,
  instance,
});

/** Events of a hub, of copies of it, and of administrators; `at` is when, in minutes after the one before. */
const moment = fc.record({
  at: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1000, max: 60_000 })),
  event: fc.oneof(
    fc.nat(6).map((number) => (now: number) => record(number, now)),
    fc.nat(6).map((number) => (now: number) => record(number, now + 4 * DAY)),
    fc.tuple(fc.nat(6), fc.nat(4), fc.constantFrom('a', 'b')).map(
      ([number, counter, id]) =>
        (): EdgeEvent =>
          bind(number, counter, id),
    ),
    fc.tuple(fc.nat(6), fc.option(fc.nat(6), { nil: undefined }), fc.constantFrom('a', 'b')).map(
      ([number, session, id]) =>
        (now: number) =>
          install(number, now, session, id),
    ),
    fc.tuple(fc.nat(6), fc.nat(6)).map(
      ([number, session]) =>
        (): EdgeEvent => ({ type: 'delete', number, session }),
    ),
    fc.nat(6).map((number) => (): EdgeEvent => ({ type: 'revoke', number })),
    fc
      .constantFrom('alive', 'cycle', 'started', 'resolve', 'allow-recovery', 'end')
      .map((type) => (): EdgeEvent => ({ type })),
  ),
});

describe('the keeper of pairs', () => {
  it('answers as the state machine does, and the disk holds what was answered', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(moment, { maxLength: 25 }), async (moments) => {
        const edge = await Edge.open();
        let model = newEdgePair();
        for (const { at, event: make } of moments) {
          await edge.clock.advance(at * MINUTE);
          const now = edge.clock.now();
          const event = make(now);
          const step = stepEdge(model, event, now);
          model = step.state;
          expect(await edge.handle(event)).toEqual(step.actions);
          expect(edge.pair).toEqual(model);
        }
        const again = await Edge.open(edge.files.powerLoss({ unsynced: 'dropped' }), edge.clock);
        expect(pairOf(again.store.value, 'hub1')).toEqual(model);
        expect(pairOf(again.store.value, 'hub2')).toEqual(newEdgePair());
      }),
      { numRuns: 150 },
    );
  });

  it('killed at any step of the disk, it holds what was answered, or the next state, and never another', async () => {
    const story: readonly ((edge: Edge) => Promise<unknown>)[] = [
      (edge) => edge.handle(record(0)),
      (edge) => edge.handle(bind(0, 1)),
      (edge) => edge.handle(record(1)),
      (edge) => edge.handle(bind(0, 1)),
      (edge) => edge.handle(install(2, START, 0)),
      (edge) => edge.handle(bind(2, 1, 'b')),
      (edge) => edge.handle({ type: 'end' }),
    ];
    const states = [JSON.stringify(newEdgePair())];
    const whole = await Edge.open();
    for (const act of story) {
      await act(whole);
      states.push(JSON.stringify(whole.pair));
    }
    const last = whole.files.steps;
    expect(last).toBeGreaterThan(50);
    for (let step = 1; step <= last; step++) {
      const files = new FakeFiles();
      files.powerOffAtStep(step);
      let answered = 0;
      try {
        const edge = await Edge.open(files);
        for (const act of story) {
          await act(edge);
          answered++;
        }
      } catch {
        // The power went off.
      }
      const again = await Edge.open(files.powerLoss({ seed: String(step) }));
      const found = states.indexOf(JSON.stringify(again.pair));
      expect([step, found]).toEqual([step, found === answered ? answered : answered + 1]);
      // And goes on from there to the same end.
      await again.keeper.start();
      for (const act of story.slice(found)) await act(again);
      expect(JSON.stringify(again.pair)).toBe(states.at(-1));
    }
  });

  it('does nothing when the disk takes nothing', async () => {
    const edge = await Edge.open();
    await edge.handle(record(0));
    const before = edge.store.value;
    edge.files.fail({ on: 'datasync', code: 'ENOSPC', times: Number.POSITIVE_INFINITY });
    await expect(edge.handle(bind(0, 1))).rejects.toMatchObject({ code: 'file.unwritable' });
    await expect(edge.handle({ type: 'end' })).rejects.toMatchObject({ code: 'file.unwritable' });
    expect(edge.store.value).toBe(before);
    // What needs no write is answered all the same.
    expect(await edge.handle(bind(7, 1))).toMatchObject([{ type: 'refused', code: 'refused' }]);
    edge.files.heal();
    expect(await edge.handle(bind(0, 1))).toMatchObject([{ type: 'bound', outcome: 'ok' }]);
  });

  it('takes two binds with one counter at the same moment for what they are', async () => {
    const edge = await Edge.open();
    await edge.handle(record(0));
    const answers = await Promise.all([edge.handle(bind(0, 1)), edge.handle(bind(0, 1))]);
    expect(answers.map((actions) => actions.find(({ type }) => type === 'bound'))).toMatchObject([
      { outcome: 'ok' },
      { outcome: 'reused' },
    ]);
  });

  it('says when accounts, or their state, have changed', async () => {
    const edge = await Edge.open();
    const told = async (act: () => Promise<unknown>): Promise<boolean> => {
      const before = edge.changes;
      await act();
      return edge.changes > before;
    };
    expect(await told(() => edge.handle(record(0)))).toBe(true);
    expect(await told(() => edge.handle(bind(0, 1)))).toBe(false);
    expect(await told(() => edge.handle(record(1)))).toBe(true);
    expect(await told(() => edge.handle({ type: 'delete', number: 1, session: 0 }))).toBe(true);
    expect(await told(() => edge.keeper.cycle())).toBe(false);
    await edge.clock.advance(400 * DAY);
    expect(await told(() => edge.keeper.cycle())).toBe(false);
    expect(await told(() => edge.handle({ type: 'end' }))).toBe(true);
    expect(await edge.keeper.handle('nobody', { type: 'end' })).toEqual([]);
  });

  it('hears a session that works, without writing each time', async () => {
    const edge = await Edge.open();
    await edge.handle(record(0));
    await edge.handle(bind(0, 1));
    await edge.clock.advance(60 * MINUTE);
    const { steps } = edge.files;
    edge.keeper.heard('HUB1', 'a');
    edge.keeper.heard('hub1', 'somebody else');
    expect([edge.keeper.lastHeard('hub1'), edge.files.steps]).toEqual([edge.clock.now(), steps]);
    // So a recovery waits, though the last bind was an hour ago.
    const now = edge.clock.now();
    expect(await edge.handle(install(1, now))).toMatchObject([{ type: 'install-refused', code: 'in-use' }]);
    expect(edge.pair.heardAt).toBe(now);
    await edge.clock.advance(6 * MINUTE);
    expect(await edge.handle(install(1, now))).toMatchObject([
      { type: 'warn', code: 'credential.recovered' },
      { type: 'installed', counted: true },
    ]);
  });

  it('suspends a pair as soon as both of its instances are heard', async () => {
    const lines: string[] = [];
    const log = createLog({ write: (line) => void lines.push(line), clock: new FakeClock(START) });
    const edge = await Edge.open(undefined, undefined, log);
    await edge.handle(record(0));
    await edge.handle(bind(0, 1, 'a'));
    await edge.handle(bind(0, 1, 'b'));
    expect(await edge.handle(bind(0, 2, 'a'))).toMatchObject([{ type: 'refused' }]);
    expect(edge.pair).toMatchObject({ phase: 'active', contender: 'a' });
    edge.keeper.heard('hub1', 'b');
    // Behind it in the queue of the store.
    expect(await edge.handle(bind(0, 2, 'b'))).toMatchObject([{ type: 'refused', code: 'two-instances' }]);
    expect(edge.pair.phase).toBe('suspended');
    expect(edge.store.value.accounts.map(({ state }) => state)).toEqual(['suspended']);
    expect(lines.filter((line) => line.includes('credential.two-instances'))).toHaveLength(1);
    await edge.handle({ type: 'resolve' });
    expect(edge.store.value.accounts.map(({ state }) => state)).toEqual(['active']);
  });

  it('remembers a restored backup until the next ordinary renewal', async () => {
    const edge = await Edge.open();
    const restoredAt = (): number | undefined => storedPair(edge.store.value, 'hub1')?.restoredAt;
    await edge.handle(record(0));
    await edge.handle(bind(0, 1));
    await edge.handle(bind(0, 1));
    expect(restoredAt()).toBe(START);
    await edge.handle(install(1, START, 0));
    await edge.handle(bind(1, 1, 'b'));
    expect(restoredAt()).toBe(START);
    await edge.handle(record(2));
    await edge.handle(bind(2, 2, 'b'));
    expect(restoredAt()).toBeUndefined();
  });
});

describe('a trust store of an earlier version', () => {
  it('has accounts without pairs: they are proved, and live on', async () => {
    const files = new FakeFiles();
    const old = await Edge.open(files);
    await old.store.update((draft) => {
      const { pairs: _none, ...rest } = draft;
      const account = (number: number, at: number) => ({
        name: `ESRA.edge1.HUB1.${number}`,
        kind: 'esra' as const,
        hub: 'hub1',
        pin: PIN,
        password: NO_ACCOUNT_DIGEST,
        state: 'active' as const,
        recordId: `record ${number}`,
        ...window(at),
      });
      return { ...rest, pairs: {}, accounts: [account(3, START - 27 * DAY), account(4, START)] };
    });
    await old.store.close();
    const edge = await Edge.open(files);
    expect(edge.pair).toEqual({
      ...newEdgePair(),
      highest: 4,
      accounts: [3, 4].map((number) => ({
        number,
        ...window(number === 3 ? START - 27 * DAY : START),
        recordId: `record ${number}`,
        by: 'record',
        proved: true,
      })),
    });
    expect(await edge.handle(bind(4, 1))).toEqual([{ type: 'bound', outcome: 'ok', highest: 4 }]);
    await edge.clock.advance(4 * DAY);
    await edge.keeper.cycle();
    expect(edge.store.value.accounts.map(({ name }) => name)).toEqual(['ESRA.edge1.HUB1.4']);
    expect(storedPair(edge.store.value, 'hub1')).toMatchObject({ highest: 4, floor: 3 });
  });
});
