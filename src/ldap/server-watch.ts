/** Time limits of one connection, looked at about every second: pure, told what is and what time it is. */
import type { ListenerLimits } from './server-limits.ts';

export interface Observation {
  /** Something was received or sent since the last look. */
  readonly active: boolean;
  /** Bytes the other side has not taken. */
  readonly unsent: number;
  /** Messages received so far. */
  readonly frames: number;
  /** A message has begun and is not complete, although we read. */
  readonly partial: boolean;
  /** Undefined: may be silent for ever. */
  readonly idleTimeoutMs: number | undefined;
  /** Somebody has become known on it. */
  readonly known: boolean;
}

/** Why a connection should end. */
export type Verdict = 'stalled' | 'partial' | 'idle' | 'stranger' | undefined;

export class ConnectionWatch {
  readonly #limits: ListenerLimits;
  readonly #startedAt: number;
  #activeAt: number;
  #partialAt: number | undefined;
  #partialFrame = 0;
  #highAt: number | undefined;
  #capAt: number | undefined;

  constructor(limits: ListenerLimits, now: number) {
    this.#limits = limits;
    this.#startedAt = now;
    this.#activeAt = now;
  }

  /** `now` in monotonic milliseconds. */
  look(seen: Observation, now: number): Verdict {
    const limits = this.#limits;
    if (seen.active) this.#activeAt = now;
    this.#highAt = seen.unsent > limits.outputHighBytes ? (this.#highAt ?? now) : undefined;
    this.#capAt = seen.unsent > limits.outputCapBytes ? (this.#capAt ?? now) : undefined;
    if (now - (this.#highAt ?? now) >= limits.outputTimeoutMs && this.#highAt !== undefined) return 'stalled';
    if (now - (this.#capAt ?? now) >= limits.outputCapMs && this.#capAt !== undefined) return 'stalled';
    if (!seen.known && now - this.#startedAt >= limits.strangerTimeoutMs) return 'stranger';
    if (!seen.partial) {
      this.#partialAt = undefined;
    } else if (this.#partialAt === undefined || this.#partialFrame !== seen.frames) {
      this.#partialAt = now;
      this.#partialFrame = seen.frames;
    } else if (now - this.#partialAt >= limits.partialMessageTimeoutMs) {
      return 'partial';
    }
    return seen.idleTimeoutMs !== undefined && now - this.#activeAt >= seen.idleTimeoutMs
      ? 'idle'
      : undefined;
  }
}
