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
const LIFE = 30 * DAY;
/** A kill between the disk and the wire skips a few calls. */
const SKIPPED = 4;
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
  /** What does not work at present, and since when; and when what did not work came back. */
  readonly #disturbed = new Map<string, number>();
  readonly #restoredAt = new Map<string, number>();
  #disturbedSince = 0;
  #trouble = 0;
  #pushSince: number | undefined = 0;
  readonly #issued = new Map<string, Issued>();
  readonly #published = new Set<string>();
  readonly #requested = new Set<string>();
  /** When a bind first proved it. */
  readonly #proved = new Map<string, number>();
  readonly #served = new Set<string>();
  readonly #numbers = new Map<number, string>();
  #highest = -1;
  /** The session of the last cycle that had one, by node. */
  readonly #session = new Map<string, { at: number; secret: string }>();
  #refusedAt = new Map<string, number>();
  readonly #refusal = new Map<string, { at: number; secret: string }>();
  readonly #ends = new Map<number, number>();
  #recovered = 0;
  /** Granted by an administrator besides. */
  #allowed = 0;
  #allowedAt: number | undefined;
  /** Answered calls of the hub. */
  #calls: number[] = [];
  /** After a restored backup: the numbers that were there, how many answered calls it does not know of, and how many it may have skipped. */
  #fresh: { above: number; unknown: number; skipped: number } | undefined;
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
        return this.#record(seen);
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
        return this.#disturb(seen.by);
      case 'probe':
        return this.#probe(seen);
      case 'wild':
        return this.#violated('somebody runs wild');
      case 'accident':
        return this.#accident(seen);
      case 'push':
        this.#pushSince = seen.works ? at : undefined;
        return;
      case 'clone':
        this.#trouble = at;
        this.#copied = at;
        this.#expected = [];
        this.#fresh = undefined;
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
    this.#disturb([]);
    // Each credential serves 27 days; accidents and commands cost a few.
    if (this.#issued.size > 40 + (length / DAY) * 0.5)
      this.#violated(`${this.#issued.size} credentials were made in ${Math.round(length / DAY)} days`);
  }

  #bind(seen: Seen<'bind'>): void {
    if (seen.outcome === 'refused' || seen.outcome === 'unreachable') this.#skip(1);
    else this.#calls.push(this.#at);
    if (seen.outcome === 'refused') {
      this.#refusedAt.set(seen.secret, this.#at);
      this.#refusal.set(seen.node, { at: this.#at, secret: seen.secret });
    }
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
      if (!this.#served.has(seen.secret) && !this.#requested.has(seen.secret)) this.#countAnew();
      this.#served.add(seen.secret);
    }
    if (seen.purpose === 'session' && seen.outcome === 'ok') this.#used(seen, issued);
    if (!this.#proved.has(seen.secret)) this.#proved.set(seen.secret, this.#at);
  }

  #used(seen: Seen<'bind'>, issued: Issued): void {
    if (issued.effectiveAt - BEND > seen.hubClock)
      this.#violated(`number ${seen.number} was used before it was effective`);
    const before = this.#session.get(seen.node);
    const last = before === undefined ? undefined : this.#issued.get(before.secret);
    if (
      this.#disturbed.size === 0 &&
      before !== undefined &&
      last !== undefined &&
      before.secret !== seen.secret &&
      before.at >= this.#settledSince() &&
      last.expiresAt > seen.hubClock &&
      this.#refusedAt.get(before.secret) !== this.#at &&
      !this.#proved.has(seen.secret) &&
      !this.#requested.has(seen.secret)
    )
      this.#violated(`number ${seen.number} was used before a bind had proved it`);
    this.#session.set(seen.node, { at: this.#at, secret: seen.secret });
    if (this.#fresh !== undefined && seen.node === 'hub') {
      const { above, unknown, skipped } = this.#fresh;
      const old = (this.#proved.get(seen.secret) ?? this.#at) < this.#copied;
      if (seen.number <= above && old && unknown > skipped)
        this.#violated(`number ${seen.number}, from before the restored backup, is still accepted`);
      this.#fresh = undefined;
    }
  }

  #recovery(seen: Seen<'recovery'>): void {
    this.#calls.push(this.#at);
    if (!this.#requested.has(seen.secret) && seen.counted) {
      this.#recovered += 1;
      this.recoveries += 1;
    }
    this.#requested.add(seen.secret);
    if (this.#recovered > RECOVERIES + this.#allowed)
      this.#violated(`${this.#recovered} recoveries in a row`);
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
    this.#allowance(seen);
    // Counted, and not made: its password could not be read.
    if (seen.node === 'hub' && this.#calls.at(-1) !== this.#at) this.#skip(1);
    if (seen.node === 'hub') this.#explained(seen);
    if (seen.node !== 'hub' || this.#endedAt !== undefined) return;
    const session = this.#session.get('hub');
    if (this.#settled(2)) {
      this.judged += 1;
      if (session?.at !== this.#at) {
        this.without += 1;
        return this.#violated('no credential that both sides accept');
      }
    }
    const used = this.#issued.get(session?.secret ?? '');
    const known = used !== undefined && (session?.at ?? 0) > this.#copied;
    if (known && seen.hubClock < used.expiresAt) this.#renewal(used, seen);
  }

  /** Whatever the cycles of the hub are: it has what the edge would take now. */
  #probe(seen: Seen<'probe'>): void {
    if (this.#endedAt !== undefined || !this.#settled(2)) return;
    this.judged += 1;
    const accepted = seen.accounts.filter(
      (one) =>
        one.secret !== undefined &&
        seen.own.get(one.number) === one.secret &&
        one.effectiveAt - BEND <= seen.edgeClock &&
        seen.edgeClock < one.expiresAt + BEND,
    );
    if (accepted.some((one) => one.number === seen.using)) return;
    this.without += 1;
    this.#violated('no credential that both sides accept, between two cycles');
  }

  #record(seen: Seen<'record'>): void {
    this.#issued.set(seen.secret, seen);
    this.#highest = Math.max(this.#highest, seen.number);
    const again = this.#ends.has(seen.number);
    this.#ends.set(seen.number, Math.max(this.#ends.get(seen.number) ?? 0, seen.expiresAt));
    if (seen.expiresAt - seen.effectiveAt > LIFE) this.#violated(`number ${seen.number} lives too long`);
    const refused = this.#refusal.get(seen.node);
    if (refused === undefined || (this.#issued.get(refused.secret)?.expiresAt ?? 0) <= seen.hubClock) return;
    const told = refused.at > Math.max(this.#copied, this.#edgeRestored);
    if (this.#suspended && refused.at === this.#at)
      this.#violated('a credential is made by a hub that hears that it is suspended');
    // A lost record is made again under its number.
    if (again || this.#disturbed.size > 0) return;
    if (this.#endedBy === 'edge' && refused.at > (this.#endedAt ?? 0) && told)
      this.#violated('a credential is made for a pair that has ended');
  }

  /** What an administrator allows is granted at once. */
  #allowance(seen: Seen<'cycle'>): void {
    if (this.#allowedAt === undefined || seen.node !== 'hub') return;
    const only = [...this.#disturbed.keys()].every((kind) => kind === 'administrator');
    if (
      !only ||
      this.#settledSince(['administrator']) > this.#allowedAt - INTERVAL ||
      this.#endedAt !== undefined
    )
      this.#allowedAt = undefined;
    else if (this.#session.get('hub')?.at === this.#at) this.#allowedAt = undefined;
    else if (this.#at - this.#allowedAt >= 2 * INTERVAL)
      this.#violated('an allowed recovery was not granted');
  }

  /** A hub that gets to the edge and not in says why. */
  #explained(seen: Seen<'cycle'>): void {
    const waits = ['administrator', 'clone'].some((kind) => this.#disturbed.has(kind));
    const judged = waits ? this.#disturbed.size === 1 : this.#settled(1);
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
    // It is made where the edge is away, too: others may bring it.
    if (made >= 3 * INTERVAL && this.#settled(3, 0, ['link-down', 'edge-down', 'edge killed'])) {
      const later = [...this.#published].some(
        (secret) => (this.#issued.get(secret)?.number ?? -1) > used.number,
      );
      if (!later) this.#violated(`number ${used.number} has no successor seven days before its end`);
    }
    const named = seen.warnings.includes('credential.unconfirmed');
    const since = this.#disturbed.get('config-down');
    if (due >= 6 * INTERVAL && since !== undefined && this.#settled(6, 0, ['config-down']))
      if (
        !named &&
        ![...this.#proved.keys()].some((secret) => (this.#issued.get(secret)?.number ?? -1) > used.number)
      )
        this.#violated('a successor that cannot be confirmed is not reported');
    if (due < 6 * INTERVAL || !this.#settled(6)) return;
    if (this.#pushSince !== undefined && this.#at - this.#pushSince >= 6 * INTERVAL)
      this.#violated(`number ${used.number} is used less than three days before its end`);
    if (this.#pushSince === undefined && !named)
      this.#violated('a successor that cannot be confirmed is not reported');
  }

  #twoInstances(): void {
    const only = this.#disturbed.size === 1 ? this.#disturbed.get('clone') : undefined;
    if (only === undefined || this.#cloneSince === undefined) return;
    const since = Math.max(only, this.#settledSince());
    if (this.#at - since < 8 * INTERVAL) return;
    const both = ['hub', 'clone'].every((node) => (this.#session.get(node)?.at ?? 0) > since + 6 * INTERVAL);
    if (both) this.#violated('two instances are alive and both are accepted');
    if (this.#namedAt < this.#cloneSince && this.#endedAt === undefined)
      this.#violated('two instances are alive and nobody says so');
  }

  #accounts(seen: Seen<'accounts'>): void {
    const lives = seen.numbers.some((number) => (this.#ends.get(number) ?? 0) > seen.edgeClock);
    const over = this.#endedAt !== undefined && this.#settled(2, this.#endedAt);
    if (this.#endedBy === 'edge' ? seen.numbers.length > 0 : over && lives)
      this.#violated('an account outlives its subscription');
    const told = seen.numbers.length === 0 && this.#disturbed.size === 0 && this.#settledSince() < this.#at;
    if (this.#endedBy === 'hub' && told && (this.#endedAt ?? 0) < this.#at && seen.records.length > 0)
      this.#violated('a hub that has left leaves its records there');
    const left = this.#endedBy === 'hub' && this.#endedAt !== undefined && this.#settled(3, this.#endedAt);
    if (left && seen.records.length > 0) this.#violated('a record outlives its subscription');
    const ends = seen.numbers.map((number) => this.#ends.get(number));
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
      this.#countAnew();
      // It may know none of them any more.
      this.#calls = [];
    }
    // A backup that is a few calls old may then have caught up, and be the same hub again.
    if (seen.kind === 'kill') this.#skip(SKIPPED);
    if (seen.kind === 'restore-edge' || seen.kind === 'restore-hub') {
      this.#expected = [];
      this.#fresh = undefined;
      this.#copied = this.#at;
      this.#told = false;
      this.#suspended = false;
    }
    if (seen.kind === 'restore-hub' && seen.copyOf !== undefined) {
      const { copyOf } = seen;
      const unknown = this.#calls.filter((at) => at > copyOf).length;
      if (unknown > 0) this.#fresh = { above: this.#highest, unknown, skipped: 0 };
    }
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
      // One that was proved, and then revoked on the edge, is found out when it is to be used.
      const proved = [...this.#proved.keys()];
      const underWay = proved.some((secret) => (this.#issued.get(secret)?.number ?? -1) > used);
      if (!underWay && !this.#disturbed.has('clocks'))
        expect('`rotate` made no successor', (numbers) => numbers.some((number) => number > used));
    } else if (seen.kind === 'allow') {
      this.#allowed = Math.max(0, this.#recovered - RECOVERIES) + 1;
      this.#allowedAt = this.#at;
    } else if (seen.kind === 'resolve') {
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

  #countAnew(): void {
    this.#recovered = 0;
    this.#allowed = 0;
  }

  #skip(calls: number): void {
    if (this.#fresh !== undefined && !this.#told) this.#fresh.skipped += calls;
  }

  #disturb(by: readonly string[]): void {
    const was = this.#disturbed.size > 0;
    // A successor made under a wrong clock is given up.
    if (by.includes('clocks'))
      this.#expected = this.#expected.filter((one) => !one.what.startsWith('`rotate`'));
    for (const kind of this.#disturbed.keys())
      if (!by.includes(kind)) {
        this.#disturbed.delete(kind);
        this.#restoredAt.set(kind, this.#at);
      }
    for (const kind of by) if (!this.#disturbed.has(kind)) this.#disturbed.set(kind, this.#at);
    const is = this.#disturbed.size > 0;
    if (!was && is) this.#disturbedSince = this.#at;
    if (was && !is) this.disturbedMs += this.#at - this.#disturbedSince;
  }

  #settledSince(but: readonly string[] = []): number {
    let since = this.#trouble;
    for (const [kind, at] of this.#restoredAt) if (!but.includes(kind)) since = Math.max(since, at);
    return since;
  }

  /** Nothing was wrong `but` for so many intervals (and since `from`). */
  #settled(intervals: number, from = 0, but: readonly string[] = []): boolean {
    for (const kind of this.#disturbed.keys()) if (!but.includes(kind)) return false;
    return this.#at - Math.max(this.#settledSince(but), from) >= intervals * INTERVAL;
  }

  #violated(what: string): void {
    this.violations.push({ at: this.#at, what });
  }
}
