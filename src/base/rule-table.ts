/**
 * A state machine as a table: what is run is what is printed. An event takes the first row that names it and fits; then every row marked
 * `always` that fits is taken, in order. Knows nothing of what the states are about; `T` holds the timings that the rows decide by.
 */
export interface Outcome<S, A> {
  /** The same object when nothing changes. */
  readonly state: S;
  readonly actions?: readonly A[];
}

export interface Rule<S, E extends { readonly type: string }, A, T> {
  readonly name: string;
  readonly on: readonly E['type'][] | 'always';
  /** Both in words, for the documents that print the table. */
  readonly when: string;
  readonly effect: string;
  /** `undefined` when the row does not fit. */
  readonly run: (state: S, event: E, now: number, timings: T) => Outcome<S, A> | undefined;
}

export function runRules<S, E extends { readonly type: string }, A, T>(
  rules: readonly Rule<S, E, A, T>[],
  state: S,
  event: E,
  now: number,
  timings: T,
): { state: S; actions: A[] } {
  const actions: A[] = [];
  let next = state;
  const take = (rule: Rule<S, E, A, T>): boolean => {
    const outcome = rule.run(next, event, now, timings);
    if (outcome === undefined) return false;
    next = outcome.state;
    actions.push(...(outcome.actions ?? []));
    return true;
  };
  rules.find((rule) => rule.on !== 'always' && rule.on.includes(event.type) && take(rule));
  for (const rule of rules) if (rule.on === 'always') take(rule);
  return { state: next, actions };
}

/** A row for one kind of event, with the event's own type. */
export function on<S, E extends { readonly type: string }, A, T, K extends E['type']>(
  type: K,
  run: (state: S, event: Extract<E, { type: K }>, now: number, timings: T) => Outcome<S, A> | undefined,
): Pick<Rule<S, E, A, T>, 'on' | 'run'> {
  return {
    on: [type],
    run: (state, event, now, timings) =>
      event.type === type ? run(state, event as Extract<E, { type: K }>, now, timings) : undefined,
  };
}

/** The table as Markdown. */
export function printRules(
  rules: readonly {
    readonly name: string;
    readonly on: readonly string[] | 'always';
    readonly when: string;
    readonly effect: string;
  }[],
): string {
  const rows = rules.map(
    (rule) =>
      `| \`${rule.name}\` | ${rule.on === 'always' ? 'always' : rule.on.map((type) => `\`${type}\``).join(', ')} | ${rule.when} | ${rule.effect} |`,
  );
  return ['| rule | event | when | effect |', '|---|---|---|---|', ...rows].join('\n');
}
