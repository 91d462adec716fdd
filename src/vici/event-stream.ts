/** The messages of one streamed answer, between the socket that brings them and the reader who takes them. Bounded: the socket is paused meanwhile. */
import type { ViciSection } from './message.ts';

/** Messages that wait for the reader before the socket is paused. */
const MOST_WAITING = 64;

export interface StreamSource {
  readonly pause: () => void;
  readonly resume: () => void;
}

export class EventStream implements AsyncIterableIterator<ViciSection, undefined> {
  readonly #source: StreamSource;
  #waiting: ViciSection[] = [];
  #paused = false;
  #discarded = false;
  #finished: { readonly error: unknown } | 'well' | undefined;
  #wake: (() => void) | undefined;

  constructor(source: StreamSource) {
    this.#source = source;
  }

  push(message: ViciSection): void {
    if (this.#discarded) return;
    this.#waiting.push(message);
    if (this.#waiting.length >= MOST_WAITING && !this.#paused) {
      this.#paused = true;
      this.#source.pause();
    }
    this.#wake?.();
  }

  end(): void {
    this.#finished = 'well';
    this.#wake?.();
  }

  fail(error: unknown): void {
    this.#finished = { error };
    this.#wake?.();
  }

  /** The reader wants no more: what still comes is read and forgotten, so that the next command can follow. */
  discard(): void {
    this.#discarded = true;
    this.#waiting = [];
    this.#flow();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<ViciSection, undefined>> {
    for (;;) {
      const message = this.#waiting.shift();
      if (message !== undefined) {
        if (this.#waiting.length === 0) this.#flow();
        return { done: false, value: message };
      }
      if (this.#finished === 'well') return { done: true, value: undefined };
      if (this.#finished !== undefined) throw this.#finished.error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }

  #flow(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#source.resume();
  }
}
