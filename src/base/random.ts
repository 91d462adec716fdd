/** Randomness is handed in. `systemRandom` is the only place that asks the platform for it. */
import { randomBytes, randomUUID } from 'node:crypto';

export interface Random {
  bytes(length: number): Buffer;
  /** A number in [0, 1), for jitter only; never for secrets. */
  fraction(): number;
  /** Lower-case version 4 UUID. */
  uuid(): string;
}

export const systemRandom: Random = {
  bytes: (length) => randomBytes(length),
  fraction: () => Math.random(),
  uuid: () => randomUUID(),
};
