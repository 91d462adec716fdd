/**
 * The engine: mutates inputs, keeps those that reach what nothing reached before, and reports those that break an oracle. Inputs run in batches,
 * since looking at the coverage costs more than most inputs; a batch that reached something new is run again one by one.
 */
import { yieldToLoop } from '../../src/base/clock.ts';
import type { Coverage } from './coverage.ts';
import { mutateBer } from './mutate-ber.ts';
import { mutateBytes } from './mutate-bytes.ts';
import { mutateText } from './mutate-text.ts';
import { FuzzRandom } from './random.ts';
import type { FuzzTarget } from './target.ts';

const BATCH = 64;
const MOST_CRASHES = 20;
const SHRINK_RUNS = 400;
/** Octets that count besides those of an input, when steps are seen in proportion to its length. */
const SMALL = 64;

export interface Crash {
  readonly input: Buffer;
  readonly error: Error;
}

export interface FuzzOptions {
  readonly target: FuzzTarget;
  readonly coverage: Coverage;
  readonly corpus: readonly Buffer[];
  readonly seed: number;
  /** False: what is new is neither looked for nor kept, which is many times faster at the beginning. True unless told. */
  readonly guided?: boolean;
  /** Asked before every batch, with the numbers of executions and of different failures so far. */
  readonly goOn: (executions: number, crashes: number) => boolean;
}

export interface FuzzResult {
  readonly executions: number;
  /** Inputs that reached something new, those of the corpus included. */
  readonly kept: readonly Buffer[];
  readonly crashes: readonly Crash[];
  /** Most steps for a byte (and some) that an input took. */
  readonly mostStepsPerByte: number;
}

export async function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  const engine = new Engine(options);
  engine.begin();
  while (options.goOn(engine.executions, engine.crashes.size) && engine.crashes.size < MOST_CRASHES) {
    engine.batch();
    // Targets may have left promises and the like behind.
    await yieldToLoop();
  }
  return {
    executions: engine.executions,
    kept: engine.kept,
    crashes: [...engine.crashes.values()],
    mostStepsPerByte: engine.mostStepsPerByte,
  };
}

class Engine {
  executions = 0;
  mostStepsPerByte = 0;
  readonly kept: Buffer[] = [];
  readonly crashes = new Map<string, Crash>();
  readonly #target: FuzzTarget;
  readonly #coverage: Coverage;
  readonly #corpus: readonly Buffer[];
  readonly #random: FuzzRandom;
  readonly #words: readonly Buffer[];
  readonly #guided: boolean;
  /** What is mutated: what was kept, and examples and slow inputs that reached nothing new. */
  readonly #pool: Buffer[] = [];
  #mostBatchSteps = 0;

  constructor({ target, coverage, corpus, seed, guided = true }: FuzzOptions) {
    this.#guided = guided;
    this.#target = target;
    this.#coverage = coverage;
    this.#corpus = corpus;
    this.#random = new FuzzRandom(seed);
    this.#words = target.words.map((word) => (typeof word === 'string' ? Buffer.from(word) : word));
  }

  begin(): void {
    const examples = this.#target.examples(this.#random.next() & 0x7fff_ffff);
    // Making them is no part of anybody's work.
    this.#coverage.take();
    const known = [...this.#corpus, ...examples];
    if (this.#guided) for (const input of known) this.#single(input);
    else for (let at = 0; at < known.length; at += BATCH) this.#together(known.slice(at, at + BATCH));
    this.#pool.push(...(this.#guided ? examples : known), Buffer.alloc(0));
  }

  batch(): void {
    this.#together(Array.from({ length: BATCH }, () => this.#make()));
  }

  #together(inputs: readonly Buffer[]): void {
    const taken = this.#run(inputs);
    const slow = taken.steps > this.#mostBatchSteps * 1.2;
    if (slow) this.#mostBatchSteps = taken.steps;
    if (taken.tooMany || (this.#guided && (taken.fresh || slow))) this.#search(inputs);
    // What did not happen again (a cache was cold the first time) is not new any more.
    taken.learn();
  }

  /** Runs them together. `tooMany`: one of them may have taken more steps than it should. */
  #run(inputs: readonly Buffer[]) {
    for (const input of inputs) this.#execute(input);
    const { base, perByte } = this.#target.steps;
    const looked = this.#coverage.look();
    return {
      ...looked,
      tooMany: looked.steps > base + perByte * Math.min(...inputs.map((input) => input.length)),
    };
  }

  /** Finds by halves which of them did something new, or took too long. */
  #search(inputs: readonly Buffer[]): void {
    const middle = inputs.length >> 1;
    if (middle === 0) return inputs[0] === undefined ? undefined : this.#single(inputs[0]);
    for (const half of [inputs.slice(0, middle), inputs.slice(middle)]) {
      const { fresh, tooMany } = this.#run(half);
      if (tooMany || (this.#guided && fresh)) this.#search(half);
    }
  }

  #single(input: Buffer): void {
    this.#execute(input);
    const { fresh, steps } = this.#coverage.take();
    const { base, perByte } = this.#target.steps;
    if (steps > base + perByte * input.length)
      this.#crashed(input, new Error(`too much work: ${steps} steps`), 'too much work');
    const share = steps / (input.length + SMALL);
    const slower = share > this.mostStepsPerByte * 1.2;
    this.mostStepsPerByte = Math.max(this.mostStepsPerByte, share);
    if (fresh) this.kept.push(input);
    if (fresh || slower) this.#pool.push(input);
  }

  #make(): Buffer {
    const random = this.#random;
    const pool = this.#pool;
    // New ones more often than old ones.
    const recent = pool.slice(-20);
    let input = random.pick(random.oneIn(3) ? recent : pool);
    for (let n = 1 + random.below(4); n > 0; n--) {
      const other = random.pick(pool);
      input = this.#mutate(input, other);
      if (input.length > this.#target.mostBytes) input = input.subarray(0, this.#target.mostBytes);
    }
    // Targets may keep views of their input.
    return Buffer.from(input);
  }

  #mutate(input: Buffer, other: Buffer): Buffer {
    const random = this.#random;
    const { shape } = this.#target;
    if (shape === 'bytes' || random.oneIn(3)) return mutateBytes(input, other, this.#words, random);
    if (shape === 'text') return mutateText(input, other, this.#words, random);
    return mutateBer(input, other, this.#words, random) ?? mutateBytes(input, other, this.#words, random);
  }

  #execute(input: Buffer): void {
    this.executions++;
    const error = failureOf(this.#target, input);
    if (error !== undefined) this.#crashed(input, error, keyOf(error));
  }

  #crashed(input: Buffer, error: Error, key: string): void {
    if (this.crashes.has(key)) return;
    this.crashes.set(key, { input: Buffer.from(input), error });
    if (key === 'too much work') return;
    const small = shrink(input, (candidate) => {
      const failure = failureOf(this.#target, candidate);
      return failure !== undefined && keyOf(failure) === key;
    });
    this.crashes.set(key, { input: small, error });
  }
}

function failureOf(target: FuzzTarget, input: Buffer): Error | undefined {
  // Octets of its own: a target that changes its input must not change the corpus.
  const copy = Buffer.from(input);
  try {
    target.run(copy);
  } catch (error) {
    return error instanceof Error ? error : new Error(`thrown: ${String(error)}`);
  }
  return copy.equals(input) ? undefined : new Error('the input was changed');
}

/** Two failures are one fault when they come from the same place with the same words, numbers aside. */
function keyOf(error: Error): string {
  const places = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return [error.name, error.message.slice(0, 80).replace(/\d+/g, 'N'), ...places.slice(0, 2)].join('\n');
}

/** The input with as much cut out as can be without losing `still`. */
function shrink(input: Buffer, still: (candidate: Buffer) => boolean): Buffer {
  let best = input;
  let runs = 0;
  for (let size = best.length >> 1; size >= 1 && runs < SHRINK_RUNS; size >>= 1) {
    for (let at = 0; at + size <= best.length && runs < SHRINK_RUNS; ) {
      const candidate = Buffer.concat([best.subarray(0, at), best.subarray(at + size)]);
      runs++;
      if (still(candidate)) best = candidate;
      else at += size;
    }
  }
  return best;
}
