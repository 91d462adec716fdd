/** What can be fuzzed: a function of bytes with its oracle inside, and what a generator should know of their shape. */
import { isDeepStrictEqual } from 'node:util';
import { PosternError } from '../../src/base/error.ts';

export interface FuzzTarget {
  readonly name: string;
  /** Which structure-aware mutations make sense. */
  readonly shape: 'ber' | 'text' | 'bytes';
  readonly mostBytes: number;
  /** Valid inputs to begin with; `seed` makes them repeatable. */
  readonly examples: (seed: number) => Buffer[];
  /** Words and octets that the format gives a meaning. */
  readonly words: readonly (string | Buffer)[];
  /** Steps (see `Coverage`) that an input may cost: so many, and so many more for each byte. */
  readonly steps: { readonly base: number; readonly perByte: number };
  /** Throws when an oracle fails. */
  readonly run: (input: Buffer) => void;
}

/** The value, or undefined when it was refused as it should be; anything else that is thrown goes through. */
export function valueOrRefusal<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof PosternError && error.code !== 'internal') return undefined;
    throw error;
  }
}

export function mustBeEqual(a: unknown, b: unknown, what: string): void {
  if (!isDeepStrictEqual(a, b)) throw new Error(`${what}: not equal`);
}
