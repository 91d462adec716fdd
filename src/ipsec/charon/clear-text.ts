/** A counter of clear text that only ever grows, until the guard is loaded anew; and what it means now. Pure. */

/** How long clear text that was seen stays a violation. */
const REMEMBER_MS = 600_000;

export class ClearTextGrowth {
  #before: number | undefined;
  #last = 0;
  #grewAt: number | undefined;

  /** Packets that came lately; 0 when none, or when nobody counts. `now` in monotonic milliseconds. */
  count(packets: number | undefined, now: number): number {
    if (packets === undefined) return 0;
    if (this.#before === undefined || packets < this.#last) {
      this.#before = packets;
      this.#grewAt = undefined;
    } else if (packets > this.#last) {
      this.#grewAt = now;
    }
    this.#last = packets;
    if (this.#grewAt !== undefined && now - this.#grewAt < REMEMBER_MS) return packets - this.#before;
    this.#before = packets;
    return 0;
  }
}
