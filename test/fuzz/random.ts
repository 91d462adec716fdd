/** A small seeded generator (xorshift32), so that a run can be repeated from its printed seed. */
export class FuzzRandom {
  #state: number;

  constructor(seed: number) {
    // A state of zero would stay zero.
    this.#state = seed >>> 0 || 0x9e37_79b9;
  }

  /** 32 bits, as a number from 0. */
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state;
  }

  /** An integer from 0 up to, not including, `limit`; 0 when that is 0. */
  below(limit: number): number {
    return limit <= 0 ? 0 : this.next() % limit;
  }

  /** True once in `n`. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
}
