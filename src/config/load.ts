/**
 * TOML text -> a validated configuration. Strict: an unknown key is an error that names the nearest known one, and every
 * fault of the file is reported at once. Knows no particular schema.
 */
import { parse, TomlError } from 'smol-toml';
import { z } from 'zod';
import { PosternError } from '../base/error.ts';

/** Parses and validates `text`; `path` is only for messages. Throws `config.invalid` listing every fault, one a line. */
export function parseConfig<S extends z.ZodType>(schema: S, text: string, path: string): z.infer<S> {
  let document: unknown;
  try {
    document = parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw new PosternError('config.invalid', `${path}, line ${error.line}: ${firstLine(error.message)}`, {
      hint: 'the file is TOML 1.0; strings need quotes',
      fields: { line: error.line },
    });
  }
  const result = schema.safeParse(document);
  if (result.success) return result.data;
  const faults = result.error.issues.flatMap((issue) => describeIssue(issue, schema));
  throw new PosternError('config.invalid', `${path}: ${faults.join('\n  ')}`, {
    hint: 'correct the file and try "postern config check"; "postern config print" shows every key with its value',
  });
}

function describeIssue(issue: z.core.$ZodIssue, schema: z.ZodType): string[] {
  const at = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(schema, at);
    return issue.keys.map((key) => {
      const near = nearest(key, known);
      const full = [...at, key].join('.');
      return near === undefined
        ? `unknown key "${full}"`
        : `unknown key "${full}" (did you mean "${[...at, near].join('.')}"?)`;
    });
  }
  return [`${at.join('.') || 'the file'}: ${explain(issue)}`];
}

/** What the value should have been, as it is written in TOML. */
const WRITTEN: Readonly<Record<string, string>> = {
  array: 'a list: [ "...", "..." ]',
  string: 'text in quotes',
  object: 'a table: [name], and its keys below',
  boolean: 'true or false',
  number: 'a number without quotes',
  int: 'a whole number without quotes',
};

function explain(issue: z.core.$ZodIssue): string {
  if (issue.code !== 'invalid_type') return firstLine(issue.message);
  if (issue.input === undefined && /received undefined/.test(issue.message)) return 'is missing';
  return `write ${WRITTEN[issue.expected] ?? issue.expected}`;
}

/** Keys that the schema knows at a path; tables only. */
function keysAt(schema: z.ZodType, path: readonly string[]): string[] {
  let here: unknown = schema;
  for (const step of path) here = shapeOf(here)?.[step];
  return Object.keys(shapeOf(here) ?? {});
}

function shapeOf(schema: unknown): Record<string, unknown> | undefined {
  let here = schema as
    | { def?: { innerType?: unknown; in?: unknown }; shape?: Record<string, unknown> }
    | undefined;
  while (here !== undefined && here.shape === undefined) {
    here = (here.def?.innerType ?? here.def?.in) as typeof here;
  }
  return here?.shape;
}

/** The known word closest to `word`, when it is close enough to be meant. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  let best: { key: string; distance: number } | undefined;
  for (const key of known) {
    const distance = editDistance(word.toLowerCase(), key.toLowerCase());
    if (best === undefined || distance < best.distance) best = { key, distance };
  }
  return best !== undefined && best.distance <= Math.max(2, Math.floor(word.length / 3))
    ? best.key
    : undefined;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(
        (row[j] ?? 0) + 1,
        (next[j - 1] ?? 0) + 1,
        (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1),
      );
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? text;
}
