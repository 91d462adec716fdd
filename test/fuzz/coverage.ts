/**
 * What has been executed so far, as V8 counts blocks: the guide of the engine. It knows neither inputs nor targets.
 *
 * Start it before the code in question is loaded: functions compiled earlier have no counters for their blocks.
 */
import { Session } from 'node:inspector';

interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

interface FunctionCoverage {
  readonly ranges: readonly Range[];
}

interface ScriptCoverage {
  readonly scriptId: string;
  readonly url: string;
  readonly functions: readonly FunctionCoverage[];
}

export interface Taken {
  /** Something ran that had not run before. */
  readonly fresh: boolean;
  /** Blocks entered and functions called since the last look: deterministic, unlike time. */
  readonly steps: number;
}

/** Gaps of one function: parts that never ran, as pairs of start and end, rising and disjoint. */
type Gaps = readonly number[];

export class Coverage implements Disposable {
  readonly #session = new Session();
  readonly #counts: (url: string) => boolean;
  readonly #gaps = new Map<string, Gaps>();
  readonly #scripts = new Map<string, boolean>();

  /** `counts` says whose scripts count, by their URL or path. */
  constructor(counts: (url: string) => boolean) {
    this.#counts = counts;
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** What ran since the last look. It counts as known once `learn` is called. */
  look(): Taken & { readonly learn: () => void } {
    let scripts: readonly ScriptCoverage[] = [];
    this.#session.post('Profiler.takePreciseCoverage', (_error, answer) => {
      scripts = (answer as { result: readonly ScriptCoverage[] } | undefined)?.result ?? [];
    });
    let steps = 0;
    const learned = new Map<string, Gaps>();
    for (const { scriptId, url, functions } of scripts) {
      let counted = this.#scripts.get(scriptId);
      if (counted === undefined) this.#scripts.set(scriptId, (counted = this.#counts(url)));
      if (!counted) continue;
      for (const { ranges } of functions) {
        for (const { count } of ranges) steps += count;
        this.#compare(scriptId, ranges, learned);
      }
    }
    const learn = (): void => {
      for (const [key, gaps] of learned) this.#gaps.set(key, intersection(this.#gaps.get(key) ?? gaps, gaps));
    };
    return { fresh: learned.size > 0, steps, learn };
  }

  /** Looks at what ran since the last look, and remembers it. */
  take(): Taken {
    const taken = this.look();
    taken.learn();
    return taken;
  }

  /** Characters of source that have run, of those in functions that have been seen. */
  get covered(): { readonly ran: number; readonly known: number } {
    let known = 0;
    let gaps = 0;
    for (const [key, list] of this.#gaps) {
      const [, start, end] = key.split(':');
      known += Number(end) - Number(start);
      for (let i = 0; i < list.length; i += 2) gaps += (list[i + 1] as number) - (list[i] as number);
    }
    return { ran: known - gaps, known };
  }

  [Symbol.dispose](): void {
    this.#session.post('Profiler.stopPreciseCoverage');
    this.#session.disconnect();
  }

  /** Puts a function of which more ran than ever before into `learned`, with what is left. */
  #compare(scriptId: string, ranges: readonly Range[], learned: Map<string, Gaps>): void {
    const [whole] = ranges;
    if (whole === undefined || whole.count === 0) return;
    const key = `${scriptId}:${whole.startOffset}:${whole.endOffset}`;
    const before = this.#gaps.get(key) ?? [whole.startOffset, whole.endOffset];
    if (before.length === 0) return;
    const now: number[] = [];
    // Inner ranges come after the one that holds them and count for themselves.
    const pending = ranges.filter(({ count }) => count === 0);
    let reached = -1;
    for (const { startOffset, endOffset } of pending.toSorted((a, b) => a.startOffset - b.startOffset)) {
      if (endOffset <= reached) continue;
      now.push(Math.max(startOffset, reached), endOffset);
      reached = endOffset;
    }
    const left = intersection(before, now);
    if (length(left) < length(before)) learned.set(key, left);
  }
}

function length(gaps: Gaps): number {
  let sum = 0;
  for (let i = 0; i < gaps.length; i += 2) sum += (gaps[i + 1] as number) - (gaps[i] as number);
  return sum;
}

function intersection(a: Gaps, b: Gaps): Gaps {
  const out: number[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const start = Math.max(a[i] as number, b[j] as number);
    const end = Math.min(a[i + 1] as number, b[j + 1] as number);
    if (start < end) out.push(start, end);
    if ((a[i + 1] as number) < (b[j + 1] as number)) i += 2;
    else j += 2;
  }
  return out;
}
