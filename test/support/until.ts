/** Waiting for another process: asks again until the answer fits. The limit finds hangs; it is no measure of speed. */
import { systemClock } from '../../src/base/clock.ts';

const GIVE_UP_AFTER_MS = 60_000;

/** Resolves to the first answer that `fits`; rejects with the last one when there has been none for a minute. */
export async function until<T>(
  what: string,
  ask: () => Promise<T> | T,
  fits: (answer: T) => boolean,
  everyMs = 10,
): Promise<T> {
  const giveUpAt = systemClock.monotonic() + GIVE_UP_AFTER_MS;
  for (;;) {
    const answer = await ask();
    if (fits(answer)) return answer;
    if (systemClock.monotonic() > giveUpAt)
      throw new Error(`${what}: not so after a minute, but ${JSON.stringify(answer)}`);
    await systemClock.sleep('until', everyMs);
  }
}
