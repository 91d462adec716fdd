/**
 * Turns among the connections of a process: whoever sends hundreds of costly requests at once shall not make the others wait for all of
 * them. It counts; it knows no sockets and no operations.
 */
import { yieldToLoop } from '../base/clock.ts';

/** So many costly requests in a row, then others have a turn. */
export const MOST_IN_ROW = 4;
/** For so many turns a connection remembers that others are there. */
const PATIENCE = 8;

interface Postponing {
  postpone(): (work: () => void) => void;
}

/** Who has read last, of all connections of the process. */
let lastReader: FairShare | undefined;

export class FairShare {
  readonly #connection: Postponing;
  #inRow = 0;
  #patience = 0;

  constructor(connection: Postponing) {
    this.#connection = connection;
  }

  /** The connection begins to handle what it has received. */
  reads(): void {
    if (lastReader === this) return;
    if (lastReader !== undefined) this.#patience = PATIENCE;
    lastReader = this;
  }

  /**
   * A request was handled that cost several times what a search does. After some of these no more come until the event loop has been
   * round, if others have read since: alone, nobody waits.
   */
  costly(): void {
    if (++this.#inRow < MOST_IN_ROW) return;
    this.#inRow = 0;
    if (this.#patience === 0) return;
    this.#patience--;
    const goOn = this.#connection.postpone();
    void yieldToLoop().then(() => goOn(NOTHING));
  }

  gone(): void {
    if (lastReader === this) lastReader = undefined;
  }
}

const NOTHING = (): void => undefined;
