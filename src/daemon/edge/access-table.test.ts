/** `docs/access.md` says what the tables say. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { accessTable } from '../../../test/support/access-table.ts';
import { HUB_ACCESS } from '../hub/configuration.ts';
import { EDGE_ACCESS } from './access.ts';

const document = readFileSync(new URL('../../../docs/access.md', import.meta.url), 'utf8');

it.each([
  ['The edge directory', EDGE_ACCESS],
  ["The hub's configuration directory", HUB_ACCESS],
])('%s', (heading, policy) => {
  const chapter = document.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  const from = chapter.search(/^(?:Secret: |Nothing is secret)/m);
  expect(chapter.slice(from).trim()).toBe(accessTable(policy));
});

it('prints scopes, groups of attributes and everybody', () => {
  const table = accessTable({
    secrets: [],
    rules: [
      { roles: ['*'], subtree: '', attributes: ['*', '+', 'cn'], rights: ['read'] },
      { roles: ['a', 'b'], subtree: 'cn=x', scope: 'base', rights: ['write', 'add'], inTransaction: true },
      { roles: ['a'], subtree: 'cn={name}', scope: 'children', rights: ['delete'] },
    ],
  });
  expect(table.split('\n')).toEqual([
    'Nothing is secret.',
    '',
    '| who | where | attributes | rights |',
    '|---|---|---|---|',
    '| everybody | everywhere | all user attributes, all operational attributes, `cn` | `read` |',
    '| `a`, `b` | `cn=x` alone | all | `write`, `add`, in transactions |',
    '| `a` | below `cn={name}` | all | `delete` |',
  ]);
});
