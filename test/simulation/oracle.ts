/**
 * What a pair promises, judged from outside: from binds, records, cn=Accounts, warnings, and what really happened to the nodes. Written from the
 * specification; knows neither rules nor states of the two sides. Times of the specification are repeated here on purpose.
 */
import type { Observation } from './observer.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
/** Two looks at a pair are at most so far apart. */
const INTERVAL = 5 * MINUTE;
const BEND = 10 * MINUTE;
const MADE_BEFORE = 7 * DAY;
const USED_BEFORE = 3 * DAY;
const RECOVERIES = 3;
const REASONS = ['recovery-waits', 'recovery-exhausted', 'two-instances', 'not-admitted'].map(
  (reason) => `credential.${reason}`,
);

interface Issued {
  readonly number: number;
  readonly effectiveAt: number;
  readonly expiresAt: number;
}

export interface Violation {
  readonly at: number;
  readonly what: string;
}

interface Expected {
  readonly what: string;
  readonly from: number;
  readonly holds: (accounts: readonly number[], records: readonly number[]) => boolean;
}

type Seen<T extends Observation['what']> = Extract<Observation, { what: T }>;

export class Oracle {
  readonly violations: Violation[] = [];
  /** Cycles of a settled pair, and those among them that had no credential. */
  judged = 0;
  without = 0;
  disturbedMs = 0;
  recoveries = 0;
  #at = 0;
  #disturbance: { by: string; since: number } | undefined;
  #undisturbedSince = 0;
  #trouble = 0;
  #pushSince: number | undefined = 0;
  readonly #issued = new Map<string, Issued>();
  readonly #published = new Set<string>();
  readonly #requested = new Set<string>();
  readonly #proved = new Set<string>();
  readonly #numbers = new Map<number, string>();
  #highest = -1;
  /** The session of the last cycle that had one, by node. */
  readonly #session = new Map<string, { at: number; secret: string }>();
  #refusedAt = new Map<string, number>();
  #recovered = 0;
  #lastCall = 0;
  #freshAbove: number | undefined;
  #cloneSince: number | undefined;
  #suspicion = 0;
  #namedAt = 0;
  #edgeRestored = 0;
  #endedAt: number | undefined;
  #endedBy: 'hub' | 'edge' | undefined;
  /** When a copy of a disk came to life, or an administrator resolved. */
  #copied = 0;
  #suspended = false;
  #bare = 0;
  #told = false;
  #expected: Expected[] = [];

  observe(at: number, seen: Observation): void {
    this.#at = at;
    switch (seen.what) {
      case 'record':
        this.#issued.set(seen.secret, seen);
        this.#highest = Math.max(this.#highest, seen.number);
        return;
      case 'published':
        this.#published.add(seen.secret);
        return;
      case 'bind':
        return this.#bind(seen);
      case 'recovery':
        return this.#recovery(seen);
      case 'warning':
        return this.#warning(seen);
      case 'cycle':
        return this.#cycle(seen);
      case 'accounts':
        return this.#accounts(seen);
      case 'disturbed':
        this.#endDisturbance();
        this.#disturbance = { by: seen.by, since: at };
        return;
      case 'undisturbed':
        this.#endDisturbance();
        this.#undisturbedSince = at;
        return;
      case 'accident':
        return this.#accident(seen);
      case 'push':
        this.#pushSince = seen.works ? at : undefined;
        return;
      case 'clone':
        this.#trouble = at;
        this.#copied = at;
        this.#expected = [];
        this.#freshAbove = undefined;
        this.#cloneSince = seen.alive ? at : undefined;
        if (seen.alive) this.#suspicion = at;
        return;
      case 'command':
        return this.#command(seen);
      case 'note':
        return;
      case 'end':
        this.#endedAt = at;
        this.#endedBy = seen.side;
        this.#expected = [];
        return;
    }
  }

  finish(at: number, length: number): void {
    this.#at = at;
    this.#endDisturbance();
    // Each credential serves 27 days; accidents and commands cost a few.
    if (this.#issued.size > 40 + (length / DAY) * 0.5)
      this.#violated(`${this.#issued.size} credentials were made in ${Math.round(length / DAY)} days`);
  }

  #bind(seen: Seen<'bind'>): void {
    if (seen.outcome !== 'unreachable') this.#lastCall = this.#at;
    if (seen.outcome === 'refused') this.#refusedAt.set(seen.secret, this.#at);
    if (seen.outcome === 'reused') {
      this.#told = true;
      if (this.#cloneSince === undefined && (this.#session.get('hub')?.at ?? 0) > this.#copied)
        this.#violated('fresh keys were demanded of a hub that was not restored');
    }
    if (seen.outcome !== 'ok' && seen.outcome !== 'who-am-i-only') return;
    const issued = this.#issued.get(seen.secret);
    if (issued === undefined) return this.#violated('a password was accepted that nobody made');
    if (
      seen.outcome === 'ok' &&
      (seen.edgeClock < issued.effectiveAt - BEND || seen.edgeClock >= issued.expiresAt + BEND)
    )
      this.#violated(`number ${seen.number} was accepted outside its window`);
    if (this.#endedAt !== undefined && this.#settled(2, this.#endedAt))
      this.#violated('a credential was accepted after the end of the subscription');
    const known = this.#numbers.get(seen.number);
    if (known !== undefined && known !== seen.secret && this.#edgeRestored === 0)
      this.#violated(`number ${seen.number} was accepted with two passwords`);
    this.#numbers.set(seen.number, seen.secret);
    if (seen.outcome === 'ok' && this.#suspended) this.#violated('a suspended pair was accepted');
    if (seen.outcome === 'ok') {
      // A normal renewal: it came in a push, not by a request.
      if (!this.#proved.has(`${seen.secret} ok`) && !this.#requested.has(seen.secret)) this.#recovered = 0;
      this.#proved.add(`${seen.secret} ok`);
    }
    if (seen.purpose === 'session' && seen.outcome === 'ok') this.#used(seen, issued);
    this.#proved.add(seen.secret);
  }

  #used(seen: Seen<'bind'>, issued: Issued): void {
    if (issued.effectiveAt - BEND > seen.hubClock)
      this.#violated(`number ${seen.number} was used before it was effective`);
    const before = this.#session.get(seen.node);
    const last = before === undefined ? undefined : this.#issued.get(before.secret);
    if (
      this.#disturbance === undefined &&
      before !== undefined &&
      last !== undefined &&
      before.secret !== seen.secret &&
      before.at >= this.#settledSince() &&
      last.expiresAt > seen.hubClock &&
      this.#refusedAt.get(before.secret) !== this.#at &&
      !this.#proved.has(seen.secret)
    )
      this.#violated(`number ${seen.number} was used before a bind had proved it`);
    this.#session.set(seen.node, { at: this.#at, secret: seen.secret });
    if (this.#freshAbove !== undefined && seen.node === 'hub') {
      if (seen.number <= this.#freshAbove)
        this.#violated(`number ${seen.number}, from before the restored backup, is still accepted`);
      this.#freshAbove = undefined;
    }
  }

  #recovery(seen: Seen<'recovery'>): void {
    this.#lastCall = this.#at;
    if (!this.#requested.has(seen.secret) && seen.counted) {
      this.#recovered += 1;
      this.recoveries += 1;
    }
    this.#requested.add(seen.secret);
    if (this.#recovered > RECOVERIES) this.#violated(`${this.#recovered} recoveries in a row`);
  }

  #warning(seen: Seen<'warning'>): void {
    if (seen.side === 'edge' && seen.code === 'credential.recovery-exhausted')
      if (this.#recovered < RECOVERIES && this.#edgeRestored === 0)
        this.#violated('recoveries were exhausted before their time');
    if (seen.code !== 'credential.two-instances') return;
    if (seen.side === 'edge') this.#suspended = true;
    this.#namedAt = this.#at;
    // A backup of the edge may hold a suspicion that was right when it was made.
    if (seen.side === 'edge' && this.#cloneSince === undefined && this.#edgeRestored <= this.#suspicion)
      this.#violated('two instances were reported, and there was one');
  }

  #cycle(seen: Seen<'cycle'>): void {
    if (seen.reached) {
      const differs = Math.abs(seen.hubClock - seen.edgeClock) > BEND;
      if (differs !== seen.warnings.includes('clock.skew'))
        this.#violated(differs ? 'clocks that differ are not reported' : 'clocks that agree are reported');
    }
    this.#twoInstances();
    if (seen.node === 'hub') this.#explained(seen);
    if (seen.node !== 'hub' || this.#endedAt !== undefined || !this.#settled(2)) return;
    this.judged += 1;
    const session = this.#session.get('hub');
    if (session?.at !== this.#at) {
      this.without += 1;
      return this.#violated('no credential that both sides accept');
    }
    const used = this.#issued.get(session.secret);
    if (used !== undefined) this.#renewal(used, seen);
  }

  /** A hub that gets to the edge and not in says why. */
  #explained(seen: Seen<'cycle'>): void {
    const by = this.#disturbance?.by;
    const judged = by === undefined ? this.#settled(1) : by === 'administrator' || by === 'clone';
    const bare = judged && seen.reached && this.#session.get('hub')?.at !== this.#at;
    this.#bare = bare ? this.#bare + 1 : 0;
    const named = ['clock.skew', ...REASONS].some((code) => seen.warnings.includes(code));
    // When it has left by itself, nothing is wrong.
    if (this.#bare >= 3 && !named && this.#endedBy !== 'hub')
      this.#violated('a hub that is refused does not say why');
  }

  #renewal(used: Issued, seen: Seen<'cycle'>): void {
    const made = seen.hubClock - (used.expiresAt - MADE_BEFORE);
    const due = seen.hubClock - (used.expiresAt - USED_BEFORE);
    if (made >= 3 * INTERVAL && this.#settled(3)) {
      const later = [...this.#published].some(
        (secret) => (this.#issued.get(secret)?.number ?? -1) > used.number,
      );
      if (!later) this.#violated(`number ${used.number} has no successor seven days before its end`);
    }
    if (due < 6 * INTERVAL || !this.#settled(6)) return;
    if (this.#pushSince !== undefined && this.#at - this.#pushSince >= 6 * INTERVAL)
      this.#violated(`number ${used.number} is used less than three days before its end`);
    if (this.#pushSince === undefined && !seen.warnings.includes('credential.unconfirmed'))
      this.#violated('a successor that cannot be confirmed is not reported');
  }

  #twoInstances(): void {
    if (this.#disturbance?.by !== 'clone' || this.#cloneSince === undefined) return;
    const since = Math.max(this.#disturbance.since, this.#trouble);
    if (this.#at - since < 8 * INTERVAL) return;
    const both = ['hub', 'clone'].every((node) => (this.#session.get(node)?.at ?? 0) > since + 6 * INTERVAL);
    if (both) this.#violated('two instances are alive and both are accepted');
    if (this.#namedAt < this.#cloneSince && this.#endedAt === undefined)
      this.#violated('two instances are alive and nobody says so');
  }

  #accounts(seen: Seen<'accounts'>): void {
    if (this.#endedAt !== undefined && seen.numbers.length > 0 && this.#settled(2, this.#endedAt))
      this.#violated('an account outlives its subscription');
    const left = this.#endedBy === 'hub' && this.#endedAt !== undefined && this.#settled(3, this.#endedAt);
    if (left && seen.records.length > 0) this.#violated('a record outlives its subscription');
    const ends = seen.numbers.map((number) => this.#issued.get(this.#numbers.get(number) ?? '')?.expiresAt);
    const latest = Math.max(...ends.map((end) => end ?? 0));
    for (const end of ends)
      if (end !== undefined && end < latest && seen.edgeClock >= end + BEND)
        this.#violated('an expired account that has a successor is still there');
    for (const one of this.#expected)
      if (
        this.#settled(6, one.from) &&
        this.#pushSince !== undefined &&
        this.#at - this.#pushSince >= 6 * INTERVAL
      ) {
        if (!one.holds(seen.numbers, seen.records)) this.#violated(one.what);
        this.#expected = this.#expected.filter((other) => other !== one);
      }
  }

  #accident(seen: Seen<'accident'>): void {
    this.#trouble = this.#at;
    if (seen.kind === 'restore-edge') {
      this.#edgeRestored = this.#at;
      this.#recovered = 0;
    }
    // A kill skips numbers: a backup that is one call old may then have caught up, and be the same hub again.
    if (seen.kind === 'kill' && !this.#told) this.#freshAbove = undefined;
    if (seen.kind === 'restore-edge' || seen.kind === 'restore-hub') {
      this.#expected = [];
      this.#freshAbove = undefined;
      this.#copied = this.#at;
      this.#told = false;
      this.#suspended = false;
    }
    if (seen.kind === 'restore-hub' && seen.copyOf !== undefined && this.#lastCall > seen.copyOf)
      this.#freshAbove = this.#highest;
  }

  #command(seen: Seen<'command'>): void {
    const highest = this.#highest;
    const expect = (what: string, holds: Expected['holds']): void => {
      this.#expected.push({ what, from: this.#at, holds });
    };
    if (seen.kind === 'rotate-now')
      expect('an account or a record outlived `rotate --now`', (accounts, records) =>
        [...accounts, ...records].every((number) => number > highest),
      );
    else if (seen.kind === 'rotate') {
      const used = this.#issued.get(this.#session.get('hub')?.secret ?? '')?.number ?? -1;
      expect('`rotate` made no successor', (numbers) => numbers.some((number) => number > used));
    } else if (seen.kind === 'allow') this.#recovered = 0;
    else if (seen.kind === 'resolve') {
      this.#trouble = this.#at;
      this.#copied = this.#at;
      this.#suspended = false;
    } else {
      const { number = -1 } = seen;
      this.#expected = this.#expected.filter((one) => !one.what.startsWith('`rotate`'));
      expect('a revoked account is there', (accounts) => !accounts.includes(number));
      this.#trouble = this.#at;
    }
  }

  #endDisturbance(): void {
    if (this.#disturbance !== undefined) this.disturbedMs += this.#at - this.#disturbance.since;
    this.#disturbance = undefined;
  }

  #settledSince(): number {
    return Math.max(this.#undisturbedSince, this.#trouble);
  }

  /** Nothing was wrong for so many intervals (and since `from`). */
  #settled(intervals: number, from = 0): boolean {
    return (
      this.#disturbance === undefined &&
      this.#at - Math.max(this.#settledSince(), from) >= intervals * INTERVAL
    );
  }

  #violated(what: string): void {
    this.violations.push({ at: this.#at, what });
  }
}
