import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { layersTable } from './layers.ts';
import {
  clockProblems,
  importProblems,
  lengthProblems,
  nameProblems,
  processProblems,
  switchedOffProblems,
} from './rules.ts';
import { type SourceFile, sourceFiles, top } from './source-files.ts';

const manifest = JSON.parse(readFileSync(path.join(top, 'package.json'), 'utf8')) as {
  dependencies: Record<string, string>;
};
const dependencies = new Set(Object.keys(manifest.dependencies));

const rules: Readonly<Record<string, (file: SourceFile) => string[]>> = {
  'a file is not too long': lengthProblems,
  'names are kebab-case': nameProblems,
  'imports point downwards': (file) => importProblems(file, dependencies),
  'clocks and randomness are in base only': clockProblems,
  'the process is known to daemon and cli only': processProblems,
  'no test is switched off': switchedOffProblems,
};

describe('the tree', () => {
  const files = sourceFiles();

  it('is found', () => expect(files.map((file) => file.path)).toContain('test/tree/layers.test.ts'));

  it.each(Object.entries(rules))('%s', (_name, rule) => {
    const problems = files.flatMap(rule);
    if (problems.length > 0) expect.fail(problems.join('\n'));
  });

  it('is described by docs/architecture.md with the same table of imports', () => {
    const page = path.join(top, 'docs/architecture.md');
    const text = existsSync(page) ? readFileSync(page, 'utf8') : '';
    if (text.includes('| folder | may import |')) expect(text).toContain(layersTable());
  });
});

describe('the rules', () => {
  const file = (name: string, ...lines: string[]): SourceFile => ({ path: name, text: lines.join('\n') });
  const table: [rule: string, good: SourceFile, bad: SourceFile, message: RegExp][] = [
    [
      'a file is not too long',
      file('src/base/a.ts', 'x\n'.repeat(400)),
      file('src/base/a.ts', 'x\n'.repeat(401)),
      /a\.ts:401: more than 400 lines/,
    ],
    [
      'names are kebab-case',
      file('src/ldap/result-code.test.ts'),
      file('src/ldap/resultCode.ts'),
      /kebab-case/,
    ],
    [
      'imports point downwards',
      file('src/ldap/a.ts', "import { b } from '../asn1/b.ts';", "import { c } from './c.ts';"),
      file('src/ldap/a.ts', '', "export type { B } from '../directory/b.ts';"),
      /^src\/ldap\/a\.ts:2: imports \.\.\/directory\/b\.ts: ldap may import itself, base, asn1, certificate$/,
    ],
    [
      'imports point downwards',
      file('src/cli/a.ts', "import { b } from '../daemon/b.ts';", "import { z } from 'zod';"),
      file('src/cli/a.ts', "const b = await import('../daemon/parts/b.ts');"),
      /a\.ts:1: .*daemon's internals/,
    ],
    [
      'imports point downwards',
      file('src/base/a.test.ts', "import { b } from '../../test/fakes/b.ts';"),
      file('src/base/a.ts', "import { b } from '../../test/fakes/b.ts';"),
      /only tests/,
    ],
    [
      'imports point downwards',
      file('src/base/a.ts', "import { z } from 'zod/mini';", "import fs from 'node:fs';"),
      file('src/base/a.ts', "import { Client } from 'ldapts';"),
      /not among the dependencies/,
    ],
    [
      'imports point downwards',
      file('src/admin/a.ts', "import { b } from '../sync/b.ts';"),
      file('src/nowhere/a.ts', ''),
      /layers\.ts/,
    ],
    [
      'clocks and randomness are in base only',
      file('src/sync/a.ts', '// Date.now()', "const s = 'Math.random()';", 'const d = new Date(5);'),
      file('src/sync/a.ts', 'const d = `${new Date()}`;'),
      /a\.ts:1: new Date\(\)/,
    ],
    [
      'clocks and randomness are in base only',
      file('src/base/a.ts', 'setTimeout(f, 1);'),
      file('src/sync/a.ts', 'const t: number = Date.now();'),
      /Date\.now/,
    ],
    [
      'clocks and randomness are in base only',
      file('src/sync/a.ts', "import { createHash } from 'node:crypto';", 'random.bytes(3);'),
      file('src/sync/a.ts', "import { randomBytes } from 'node:crypto';"),
      /randomBytes/,
    ],
    [
      'the process is known to daemon and cli only',
      file('src/cli/a.ts', 'process.exit(0);'),
      file('src/sync/a.ts', "process.env['A'];"),
      /a\.ts:1: process/,
    ],
    [
      'no test is switched off',
      file('src/base/a.test.ts', 'it.each([]); // it.skip'),
      file('src/base/a.test.ts', 'describe', '  .concurrent.only;'),
      /a\.test\.ts:1: describe\.only/,
    ],
  ];

  it.each(table)('%s: %o against %o', (name, good, bad, message) => {
    const rule = rules[name];
    expect(rule?.(good)).toEqual([]);
    expect(rule?.(bad).join('\n')).toMatch(message);
  });
});
