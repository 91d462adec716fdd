/** Types, lint and format of everything, as tests: what the tool prints is the failure message. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect, it } from 'vitest';
import { top } from './source-files.ts';

const tools: [what: string, tool: string, ...args: string[]][] = [
  ['types', 'tsc', '--noEmit', '--pretty', 'false'],
  ['lint', 'oxlint', '--type-aware', '--deny-warnings', '--format', 'unix'],
  ['format', 'biome', 'format', '--max-diagnostics=20', '--colors=off', '.'],
];

it.each(tools)('%s are as they should be', (_what, tool, ...args) => {
  const run = spawnSync(path.join(top, 'node_modules/.bin', tool), args, { cwd: top, encoding: 'utf8' });
  if (run.status === 0) return;
  // Not an assertion on the text: a diff of it would be hard to read.
  expect.fail(`${tool} ${args.join(' ')}\n${run.stdout ?? ''}${run.stderr ?? ''}${run.error?.message ?? ''}`);
});
