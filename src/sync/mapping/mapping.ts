/** Source entry -> recipient. Pure: rules and the address normaliser are handed in. */
import type { Recipient, RecipientKind } from '../recipient.ts';
import type { SourceEntry } from '../source/source.ts';
import type { MappingRules } from './preset.ts';

/** Canonical form of an address, or undefined when it is none. */
export type Normalise = (address: string) => string | undefined;

/** `recipient` undefined: the entry is no recipient, for the `reason` given. `dropped`: values that are no addresses. */
export interface Mapped {
  readonly recipient: Recipient | undefined;
  readonly reason?: 'no-address' | 'left-out' | 'disabled';
  readonly dropped: number;
}

/** A recipient with more addresses than this is cut short; Active Directory itself stops near 1,200. */
const MOST_ADDRESSES = 4096;
const ACCOUNT_DISABLED = 0x2;

export function mapEntry(entry: SourceEntry, rules: MappingRules, normalise: Normalise): Mapped {
  if (rules.require !== undefined && !holds(entry, rules.require))
    return { recipient: undefined, reason: 'left-out', dropped: 0 };
  if (rules.leaveOut.some((rule) => holds(entry, rule)))
    return { recipient: undefined, reason: 'left-out', dropped: 0 };
  const kind = kindOf(entry, rules);
  if (isDisabledAccount(entry, kind)) return { recipient: undefined, reason: 'disabled', dropped: 0 };
  const addresses = new Set<string>();
  let dropped = 0;
  const take = (text: string): void => {
    const canonical = normalise(text);
    if (canonical === undefined || addresses.size >= MOST_ADDRESSES) dropped++;
    else addresses.add(canonical);
  };
  for (const type of rules.addresses) {
    for (const value of valuesOf(entry, type)) take(value.toString('utf8'));
  }
  for (const type of rules.proxyAddresses) {
    for (const value of valuesOf(entry, type)) {
      const text = value.toString('utf8');
      if (/^smtp:/i.test(text)) take(text.slice(5));
    }
  }
  if (addresses.size === 0) return { recipient: undefined, reason: 'no-address', dropped };
  return { recipient: { kind, addresses: [...addresses].sort(byBytes) }, dropped };
}

/** The attributes a feed has to ask for. */
export function attributesOf(rules: MappingRules): string[] {
  const all = [
    'objectClass',
    'userAccountControl',
    ...rules.addresses,
    ...rules.proxyAddresses,
    ...rules.kinds.map((rule) => rule.attribute),
    ...rules.leaveOut.map((rule) => rule.attribute),
    ...(rules.require === undefined ? [] : [rules.require.attribute]),
  ];
  return [...new Map(all.map((type) => [type.toLowerCase(), type])).values()];
}

function kindOf(entry: SourceEntry, rules: MappingRules): RecipientKind {
  return rules.kinds.find((rule) => holds(entry, rule))?.kind ?? 'user';
}

/** Shared and resource mailboxes are disabled accounts by nature, so only a user's flag counts. */
function isDisabledAccount(entry: SourceEntry, kind: RecipientKind): boolean {
  const flags = Number(valuesOf(entry, 'userAccountControl')[0]?.toString('latin1') ?? 0);
  return kind === 'user' && Number.isInteger(flags) && (flags & ACCOUNT_DISABLED) !== 0;
}

function holds(entry: SourceEntry, rule: { attribute: string; value: string }): boolean {
  const wanted = rule.value.toLowerCase();
  return valuesOf(entry, rule.attribute).some(
    (value) =>
      value.length === Buffer.byteLength(rule.value) && value.toString('utf8').toLowerCase() === wanted,
  );
}

function valuesOf(entry: SourceEntry, type: string): readonly Buffer[] {
  return entry.attributes.get(type.toLowerCase()) ?? [];
}

function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
