/** The last changes in memory (at least one), 40 bytes each: which entries changed or went since a position. For the delete phase (RFC 4533 §3.3.2). */
import type { ChangeNumber } from '../database.ts';
import { isAfter } from './cookie.ts';

export class ChangeLog {
  readonly #capacity: number;
  readonly #times: Float64Array;
  readonly #counts: Uint32Array;
  readonly #uuids: Buffer;
  #written = 0;
  /** Everything after this is in the log. */
  #floor: ChangeNumber;

  /** `floor`: the directory's position now. */
  constructor(capacity: number, floor: ChangeNumber) {
    this.#capacity = capacity;
    this.#times = new Float64Array(capacity);
    this.#counts = new Uint32Array(capacity);
    this.#uuids = Buffer.alloc(capacity * 16);
    this.#floor = floor;
  }

  add(uuid: Buffer, change: ChangeNumber): void {
    const at = this.#written % this.#capacity;
    if (this.#written >= this.#capacity)
      this.#floor = { time: this.#times[at] as number, count: this.#counts[at] as number };
    this.#times[at] = change.time;
    this.#counts[at] = change.count;
    uuid.copy(this.#uuids, at * 16);
    this.#written++;
  }

  /** Entry UUIDs (latin1) of what changed after a position; undefined when the log does not reach back to it. */
  since(position: ChangeNumber): Set<string> | undefined {
    if (isAfter(this.#floor, position)) return undefined;
    const found = new Set<string>();
    for (let n = this.#written - 1; n >= Math.max(0, this.#written - this.#capacity); n--) {
      const at = n % this.#capacity;
      if (!isAfter({ time: this.#times[at] as number, count: this.#counts[at] as number }, position)) break;
      found.add(this.#uuids.toString('latin1', at * 16, at * 16 + 16));
    }
    return found;
  }
}
