/** What a guest writes and the outside reads: one JSON object a line, in `results` of the work folder. */

export interface ScenarioResult {
  readonly name: string;
  /** One a broken expectation or step, with file and line; none: the scenario holds. */
  readonly failures: readonly string[];
  readonly seconds: number;
  /** Packets of protected ports in clear since the capture's last mark. */
  readonly clearPackets: number;
  readonly espPackets: number;
  readonly figures: Readonly<Record<string, number>>;
}

/** `end`: the guest did everything that it was asked for. */
export type ResultLine = { readonly scenario: ScenarioResult } | { readonly end: true };

/** Whole lines only: the guest may be writing the last one. */
export function readResults(text: string): { scenarios: ScenarioResult[]; isEnded: boolean } {
  const lines = text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as ResultLine);
  return {
    scenarios: lines.flatMap((line) => ('scenario' in line ? [line.scenario] : [])),
    isEnded: lines.some((line) => 'end' in line),
  };
}
