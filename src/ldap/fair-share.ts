/**
 * Turns among the connections of a process: whoever sends hundreds of costly requests at once shall not make the others wait for all of
 * them. It counts; it knows no sockets and no operations.
 */
import { yieldToLoop } from '../base/clock.ts';
import { endRound } from './write-round.ts';

/** So many costly requests in a row, then others have a turn. */
export const MOST_IN_ROW = 4;
/** For so many turns a connection remembers that others are there. */
const PATIENCE = 8;

interface Postponing {
  postpone(): (work: () => void) => void;
}

/** Number of the connection that has read last, of all in the process. */
let lastReader: number | undefined;
let numbers = 0;

export class FairShare {
  readonly #connection: Postponing;
  readonly #number = ++numbers;
  #inRow = 0;
  #patience = 0;

  constructor(connection: Postponing) {
    this.#connection = connection;
  }

  /** The connection begins to handle what it has received. */
  reads(): void {
    if (lastReader === this.#number) return;
    if (lastReader !== undefined) this.#patience = PATIENCE;
    lastReader = this.#number;
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
    void yieldToLoop().then(() => {
      // Their answers don't wait for this work.
      endRound();
      goOn(NOTHING);
    });
  }

  gone(): void {
    if (lastReader === this.#number) lastReader = undefined;
  }
}

const NOTHING = (): void => undefined;
