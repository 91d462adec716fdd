/** docs/limits.md says what the code says. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { READER_LIMITS, STRANGER_LIMITS, TRUSTED_LIMITS } from '../../src/directory/protocol/limits.ts';
import { SERVER_LIMITS } from '../../src/ldap/limits.ts';
import { RESULT_CODE } from '../../src/ldap/result-code.ts';
import { LISTENER_LIMITS } from '../../src/ldap/server-limits.ts';

const text = readFileSync(new URL('../../docs/limits.md', import.meta.url), 'utf8');

/** Rows of the table below the heading that names the constant: limit to its numbers. */
function tableOf(constant: string, columns: number): Record<string, (string | undefined)[]> {
  const section = text.split('\n## ').find((part) => part.split('\n')[0]?.includes(`\`${constant}\``)) ?? '';
  const rows = section.split('\n').flatMap((line) => {
    const [, name, ...cells] = line.split('|').map((cell) => cell.trim());
    return /^`\w+`$/.test(name ?? '')
      ? [[(name as string).slice(1, -1), cells.slice(0, columns)] as const]
      : [];
  });
  return Object.fromEntries(rows);
}

const number = (value: number): string => (Number.isFinite(value) ? value.toLocaleString('en-US') : '-');

describe('docs/limits.md', () => {
  it.each([
    ['LISTENER_LIMITS', LISTENER_LIMITS],
    ['SERVER_LIMITS', SERVER_LIMITS],
  ])('%s', (name, limits) => {
    const inCode = Object.entries(limits).map(([key, value]) => [key, [number(value as number)]]);
    expect(tableOf(name, 1)).toEqual(Object.fromEntries(inCode));
  });

  it('STRANGER_LIMITS, READER_LIMITS, TRUSTED_LIMITS', () => {
    /** These are refused at 0; of the others 0 means no limit. */
    const none = new Set(['persistent', 'transactionUpdates', 'transactionBytes']);
    const keys = Object.keys(TRUSTED_LIMITS) as (keyof typeof TRUSTED_LIMITS)[];
    const inCode = keys.map((key) => [
      key,
      [STRANGER_LIMITS, READER_LIMITS, TRUSTED_LIMITS].map(({ [key]: value }) =>
        value === 0 ? (none.has(key) ? 'none' : '-') : number(value),
      ),
    ]);
    expect(tableOf('TRUSTED_LIMITS', 3)).toEqual(Object.fromEntries(inCode));
  });

  it('names result codes as RFC 4511 does', () => {
    const named = [...text.matchAll(/(\w+) \((\d+)\)/g)].filter(
      ([, name]) => name !== undefined && /[a-z]/.test(name),
    );
    expect(named.length).toBeGreaterThan(10);
    for (const [, name = '', code] of named)
      expect([name, RESULT_CODE[name as keyof typeof RESULT_CODE]]).toEqual([name, Number(code)]);
  });
});
