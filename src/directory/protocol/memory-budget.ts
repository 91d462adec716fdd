/** Memory that all clients of a server share for one purpose, so that many together are bounded, too. A counter only. */
export class MemoryBudget {
  readonly #most: number;
  #used = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get used(): number {
    return this.#used;
  }

  /** False when so much is not left. */
  take(octets: number): boolean {
    if (this.#used + octets > this.#most) return false;
    this.#used += octets;
    return true;
  }

  give(octets: number): void {
    this.#used -= octets;
  }
}
