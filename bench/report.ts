/** Figures of a benchmark: told while they are measured, and as one JSON object at the end. */

export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The same of the peer, in the same run. */
  readonly peer?: number;
  /** Above 1: we are better. */
  readonly ratio?: number;
}

export class Report {
  readonly figures: Figure[] = [];
  readonly #say: (line: string) => void;

  constructor(say: (line: string) => void) {
    this.#say = say;
  }

  note(text: string): void {
    this.#say(`  ${text}`);
  }

  add(figure: Figure): void {
    this.figures.push(figure);
    const beside = figure.peer === undefined ? '' : `  (peer ${round(figure.peer)} ${figure.unit})`;
    const ratio = figure.ratio === undefined ? '' : `  ratio ${round(figure.ratio)}`;
    this.#say(`${figure.name}: ${round(figure.value)} ${figure.unit}${beside}${ratio}`);
  }
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** Nearest-rank percentile; `share` in 0..1. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))] ?? Number.NaN;
}

export function round(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}
