/**
 * Connections of a process write together: what was read in one round of the event loop is answered when all of it has been read. A small write to a
 * process that waits for it costs less than waking that process up, and between two reads it falls asleep again.
 */
import { yieldToLoop } from '../base/clock.ts';

/** So many don't wait for the end of the round. */
export const MOST_WRITERS = 64;

export interface RoundWriter {
  /** Hands what it has to the system, if it has anything. Must not throw. */
  flush(): unknown;
}

const waiting = new Set<RoundWriter>();
let armed = false;

/** Flushes this one, once, when what has arrived has been read or `MOST_WRITERS` wait. */
export function writeTogether(writer: RoundWriter): void {
  waiting.add(writer);
  if (waiting.size >= MOST_WRITERS) return endRound();
  if (armed) return;
  armed = true;
  void yieldToLoop().then(() => {
    armed = false;
    endRound();
  });
}

/** Everybody writes now: before something that takes its time. */
export function endRound(): void {
  for (const writer of waiting) writer.flush();
  waiting.clear();
}
