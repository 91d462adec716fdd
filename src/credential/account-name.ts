/**
 * Names of the replication accounts: `ESRA.<edge>` (the bootstrap account) and `ESRA.<edge>.<hub>.<n>`. Parts never contain a dot, so a name
 * has one reading only. Compared without regard to case, as directories do.
 */
import { PosternError } from '../base/error.ts';

export type AccountName =
  | { readonly kind: 'bootstrap'; readonly edge: string }
  | { readonly kind: 'esra'; readonly edge: string; readonly hub: string; readonly number: number };

/** Longest name of a node: one DNS label. */
export const LONGEST_NODE_NAME = 63;
export const MOST_ACCOUNT_NUMBER = 999_999_999;
const NODE_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$/;

/** True for the short name of an edge or a hub: one label of letters, digits, `-`, `_`, at most 63. */
export function isNodeName(text: string): boolean {
  return NODE_NAME.test(text);
}

/** Throws `usage` with the way to mend it when `text` is no node name. `what` is "edge" or "hub". */
export function checkNodeName(text: string, what: 'edge' | 'hub'): string {
  if (isNodeName(text)) return text;
  const label = text.split('.')[0] ?? '';
  throw new PosternError(
    'usage',
    `not a name for ${what === 'edge' ? 'an edge' : 'a hub'}: "${text.slice(0, 80)}"`,
    {
      hint:
        isNodeName(label) && text.includes('.')
          ? `use the short name, "${label}"`
          : 'use one label of letters, digits and hyphens, at most 63 long',
    },
  );
}

export function formatAccountName(name: AccountName): string {
  return name.kind === 'bootstrap' ? `ESRA.${name.edge}` : `ESRA.${name.edge}.${name.hub}.${name.number}`;
}

/** The parts of an account name, or `undefined` when it is none. */
export function parseAccountName(text: string): AccountName | undefined {
  if (text.length > 5 + 2 * (LONGEST_NODE_NAME + 1) + 9) return undefined;
  const [prefix, edge, hub, number, ...rest] = text.split('.');
  if (prefix?.toUpperCase() !== 'ESRA' || edge === undefined || !isNodeName(edge) || rest.length > 0)
    return undefined;
  if (hub === undefined) return { kind: 'bootstrap', edge };
  if (!isNodeName(hub) || number === undefined || !/^(?:0|[1-9]\d{0,8})$/.test(number)) return undefined;
  return { kind: 'esra', edge, hub, number: Number(number) };
}

/** The form in which names are compared and used as keys. */
export function nameKey(name: string): string {
  return name.toLowerCase();
}

export function sameName(a: string, b: string): boolean {
  return nameKey(a) === nameKey(b);
}

/** Host names are the same without regard to case and to the final dot of DNS. */
export function sameFqdn(a: string, b: string): boolean {
  return nameKey(a.replace(/\.$/, '')) === nameKey(b.replace(/\.$/, ''));
}

/** The number of the next account of a pair: numbers are never used again. Throws `internal` when they run out. */
export function nextAccountNumber(used: Iterable<number>): number {
  const next = Math.max(-1, ...used) + 1;
  if (next > MOST_ACCOUNT_NUMBER)
    throw new PosternError('internal', 'account numbers of this pair have run out');
  return next;
}
