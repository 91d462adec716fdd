/** The documents say what the code says. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { VERSION } from '../../src/base/version.ts';
import { EXIT } from '../../src/cli/exit-code.ts';
import { CONTROL_PLACES } from '../../src/directory/protocol/request-controls.ts';
import { EXTENDED } from '../../src/ldap/control.ts';
import { POSTERN_CONTROL } from '../../src/ldap/postern-oid.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

describe('documents', () => {
  it.each([
    ['docs/errors.md', 'every error code', 'ErrorCode', 'src/base/error.ts'],
    ['docs/warnings.md', 'every warning of status', 'WarningCode', 'src/admin/documents.ts'],
  ])('%s lists %s, and no other', (document, _what, type, source) => {
    const union = new RegExp(`export type ${type} =([\\s\\S]*?);`).exec(read(source))?.[1] ?? '';
    const inCode = [...union.matchAll(/'([^']+)'/g)].map((match) => match[1]);
    expect(inCode.length).toBeGreaterThan(5);
    const rows = read(document)
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

  it('CONTRIBUTING.md names folders that exist, and every folder of src', () => {
    const table = read('CONTRIBUTING.md')
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    const named = table.flatMap((row) =>
      [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)\/`/g)].map((match) => match[1] ?? ''),
    );
    const missing = named.filter((folder) => !existsSync(new URL(`../../${folder}`, import.meta.url)));
    expect(missing).toEqual([]);
    const folders = readdirSync(new URL('../../src', import.meta.url)).map((folder) => `src/${folder}`);
    expect(folders.filter((folder) => !named.includes(folder))).toEqual([]);
  });

  it('docs/ldap.md names every control and extended operation of the directory', () => {
    const document = read('docs/ldap.md');
    const own = new Set<string>(Object.values(POSTERN_CONTROL));
    const { whoAmI, cancel, passwordModify, startTransaction, endTransaction } = EXTENDED;
    const oids = [
      ...[...CONTROL_PLACES.keys()].filter((oid) => !own.has(oid)),
      whoAmI,
      cancel,
      passwordModify,
      startTransaction,
      endTransaction,
    ];
    const named = new Set(document.match(/\d+(?:\.\d+){3,}/g));
    expect(oids.filter((oid) => !named.has(oid))).toEqual([]);
  });

  it('the version is the one of package.json', () => {
    expect(VERSION).toBe((JSON.parse(read('package.json')) as { version: string }).version);
  });
});
