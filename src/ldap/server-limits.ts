/** What a listener allows to whom. Numbers and small pure counters; no sockets. */

export interface ListenerLimits {
  /** Connections at once: all, and from one source (an IPv4 address or an IPv6 /64). */
  readonly connections: number;
  readonly connectionsPerSource: number;
  /** TLS handshakes a second (each costs about 0.6 ms of the event loop); more of them wait their turn. */
  readonly handshakesPerSecond: number;
  readonly handshakeTimeoutMs: number;
  /** Longest message until the handler allows more (`connection.maxMessageBytes`), usually after a bind. */
  readonly firstMessageBytes: number;
  /** A connection on which nothing is received or sent for so long is closed, unless its handler says otherwise. */
  readonly idleTimeoutMs: number;
  /** A message must be complete within this time after its first byte. */
  readonly partialMessageTimeoutMs: number;
  /** Above this much unsent output no more requests are read. */
  readonly outputHighBytes: number;
  /** Output above the mark must have been taken within this time. */
  readonly outputTimeoutMs: number;
  /** Above this much unsent output the connection is closed unless it gets better within `outputCapMs`. */
  readonly outputCapBytes: number;
  readonly outputCapMs: number;
  /** After a notice or an unbind: how long the other side may take to close. */
  readonly closeTimeoutMs: number;
  /** How long a connection may last on which nobody has become known (`connection.known`); infinite unless told. */
  readonly strangerTimeoutMs: number;
  /** Lines in the log, a minute, about single connections with faults; more of them are counted and summed up in one line. */
  readonly faultLinesPerMinute: number;
}

export const LISTENER_LIMITS: ListenerLimits = {
  connections: 4096,
  connectionsPerSource: 256,
  handshakesPerSecond: 200,
  handshakeTimeoutMs: 10_000,
  firstMessageBytes: 65_536,
  idleTimeoutMs: 900_000,
  partialMessageTimeoutMs: 30_000,
  outputHighBytes: 262_144,
  outputTimeoutMs: 60_000,
  outputCapBytes: 64 << 20,
  outputCapMs: 5_000,
  closeTimeoutMs: 2_000,
  strangerTimeoutMs: Number.POSITIVE_INFINITY,
  faultLinesPerMinute: 20,
};

/** A bucket of tokens: `rate` a second, at most `most` saved up: one second's worth unless told. */
export class TokenBucket {
  readonly #rate: number;
  readonly #most: number;
  #tokens: number;
  #at: number;

  constructor(rate: number, now: number, most = rate) {
    this.#rate = rate;
    this.#most = most;
    this.#tokens = most;
    this.#at = now;
  }

  /** Takes a token; false when there is none. `now` in monotonic milliseconds. */
  take(now: number): boolean {
    this.#refill(now);
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Milliseconds until there is a token. */
  wait(now: number): number {
    this.#refill(now);
    return this.#tokens >= 1 ? 0 : Math.ceil(((1 - this.#tokens) * 1000) / this.#rate);
  }

  #refill(now: number): void {
    this.#tokens = Math.min(this.#most, this.#tokens + ((now - this.#at) * this.#rate) / 1000);
    this.#at = now;
  }
}

/** Counts connections by source. */
export class SourceCounter {
  readonly #counts = new Map<string, number>();

  count(source: string): number {
    return this.#counts.get(source) ?? 0;
  }

  add(source: string): void {
    this.#counts.set(source, this.count(source) + 1);
  }

  remove(source: string): void {
    const left = this.count(source) - 1;
    if (left > 0) this.#counts.set(source, left);
    else this.#counts.delete(source);
  }
}

/**
 * Who has to go when all places are taken and somebody comes from `newcomer`: the eldest of the source that has the most places, known clients
 * left out. Undefined when nobody has more places than the newcomer's source would have: then the newcomer waits. So a few sources that
 * fill the house do not keep out one that comes for the first time.
 */
export function crowdedOut<T extends { readonly source: string }>(
  strangers: Iterable<T>,
  newcomer: string,
): T | undefined {
  const eldest = new Map<string, { readonly stranger: T; count: number }>();
  for (const stranger of strangers) {
    const found = eldest.get(stranger.source);
    if (found === undefined) eldest.set(stranger.source, { stranger, count: 1 });
    else found.count++;
  }
  let most = (eldest.get(newcomer)?.count ?? 0) + 1;
  let goes: T | undefined;
  for (const { stranger, count } of eldest.values()) {
    if (count <= most) continue;
    most = count;
    goes = stranger;
  }
  return goes;
}

/** What counts as one source: the IPv4 address (also when mapped into IPv6), or the /64 of an IPv6 address, which one host fills at will. */
export function sourceOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped?.[1] !== undefined) return mapped[1];
  if (!address.includes(':')) return address;
  const [head = '', tail] = (address.split('%')[0] ?? '').toLowerCase().split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  const groups = [...left, ...Array.from({ length: zeros }, () => '0'), ...right];
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`;
}
