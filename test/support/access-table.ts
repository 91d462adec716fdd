/** An access policy as a table that people read: `docs/access.md` has those of the daemons. */
import type { AccessPolicy, AccessRule } from '../../src/directory/access/access.ts';

const code = (words: readonly string[]): string => words.map((word) => `\`${word}\``).join(', ');

function subtreeOf({ subtree, scope }: AccessRule): string {
  const where = subtree === '' ? 'everywhere' : `\`${subtree}\``;
  return scope === 'children' ? `below ${where}` : scope === 'base' ? `${where} alone` : where;
}

function attributesOf({ attributes }: AccessRule): string {
  if (attributes === undefined) return 'all';
  const groups = { '*': 'all user attributes', '+': 'all operational attributes' };
  return attributes
    .map((name) => (Object.hasOwn(groups, name) ? groups[name as '*'] : `\`${name}\``))
    .join(', ');
}

/** Markdown: one row a rule, in the order of the policy, and the secrets above. */
export function accessTable({ rules, secrets }: AccessPolicy): string {
  const rows = rules.map((rule) => {
    const rights = `${code(rule.rights)}${rule.inTransaction === true ? ', in transactions' : ''}`;
    const who = rule.roles.includes('*') ? 'everybody' : code(rule.roles);
    return `| ${who} | ${subtreeOf(rule)} | ${attributesOf(rule)} | ${rights} |`;
  });
  const secret = secrets.length === 0 ? 'Nothing is secret.' : `Secret: ${code(secrets)}.`;
  return [secret, '', '| who | where | attributes | rights |', '|---|---|---|---|', ...rows].join('\n');
}
