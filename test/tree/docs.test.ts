/** The documents say what the code says. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { VERSION } from '../../src/base/version.ts';
import { EXIT } from '../../src/cli/exit-code.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

describe('documents', () => {
  it('docs/errors.md lists every error code, and no other', () => {
    const union = /export type ErrorCode =([\s\S]*?);/.exec(read('src/base/error.ts'))?.[1] ?? '';
    const inCode = [...union.matchAll(/'([^']+)'/g)].map((match) => match[1]);
    const rows = read('docs/errors.md')
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    const inDocument = rows.flatMap((row) =>
      [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map((match) => match[1]),
    );
    expect(inDocument.sort()).toEqual(inCode.sort());
  });

  it('docs/commands.md lists every exit code', () => {
    const rows = read('docs/commands.md')
      .split('\n')
      .flatMap((line) => /^\| (\d+) \|/.exec(line)?.[1] ?? []);
    expect(rows.map(Number).sort((a, b) => a - b)).toEqual(Object.values(EXIT).sort((a, b) => a - b));
  });

  it('the version is the one of package.json', () => {
    expect(VERSION).toBe((JSON.parse(read('package.json')) as { version: string }).version);
  });
});
