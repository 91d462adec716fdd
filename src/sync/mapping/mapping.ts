/**
 * Source entry -> recipient. Pure: rules and the address normaliser are handed in. Rules are compiled once, since a first load maps a
 * million entries.
 */
import type { Recipient, RecipientKind } from '../recipient.ts';
import type { SourceEntry } from '../source/source.ts';
import type { MappingRules } from './preset.ts';

/** Canonical form of an address, or undefined when it is none. */
export type Normalise = (address: string | Uint8Array) => string | undefined;

/** `recipient` undefined: the entry is no recipient, for the `reason` given. `dropped`: values that are no addresses. */
export type Mapped =
  | { readonly recipient: Recipient; readonly dropped: number }
  | {
      readonly recipient: undefined;
      readonly reason: 'no-address' | 'left-out' | 'disabled';
      readonly dropped: number;
    };

export type Mapper = (entry: SourceEntry) => Mapped;

/** A recipient with more addresses than this is cut short; Active Directory itself stops near 1,200. */
const MOST_ADDRESSES = 4096;
const ACCOUNT_DISABLED = 0x2;
/** userAccountControl has at most eleven characters. */
const LONGEST_FLAGS = 11;

const LEFT_OUT: Mapped = { recipient: undefined, reason: 'left-out', dropped: 0 };
const DISABLED: Mapped = { recipient: undefined, reason: 'disabled', dropped: 0 };
const NONE: readonly Buffer[] = [];

export function createMapper(rules: MappingRules, normalise: Normalise): Mapper {
  const required = rules.require === undefined ? undefined : compileRules([rules.require]);
  const leaveOut = compileRules(rules.leaveOut);
  const kinds = compileRules(rules.kinds);
  const sources = [
    ...rules.addresses.map((type) => ({ type: type.toLowerCase(), prefixed: false })),
    ...rules.proxyAddresses.map((type) => ({ type: type.toLowerCase(), prefixed: true })),
  ];
  return (entry) => {
    const { attributes } = entry;
    if (required !== undefined && firstRule(required, attributes) < 0) return LEFT_OUT;
    if (firstRule(leaveOut, attributes) >= 0) return LEFT_OUT;
    const kind: RecipientKind = rules.kinds[firstRule(kinds, attributes)]?.kind ?? 'user';
    if (kind === 'user' && isDisabled(attributes)) return DISABLED;
    const addresses: string[] = [];
    let dropped = 0;
    for (const { type, prefixed } of sources) {
      for (const value of attributes.get(type) ?? NONE) {
        const address = prefixed ? withoutPrefix(value) : value;
        if (address === undefined) continue;
        const canonical = normalise(address);
        if (canonical === undefined || addresses.length >= MOST_ADDRESSES) dropped++;
        else addresses.push(canonical);
      }
    }
    if (addresses.length === 0) return { recipient: undefined, reason: 'no-address', dropped };
    return { recipient: { kind, addresses: inOrder(addresses) }, dropped };
  };
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

/** The rules of one attribute: from the value in lower case to the place of its first rule. */
interface AttributeRules {
  readonly type: string;
  /** Lengths of values that can fit, octets: others aren't even turned into text. */
  readonly lengths: ReadonlySet<number>;
  readonly places: ReadonlyMap<string, number>;
}

function compileRules(
  rules: readonly { readonly attribute: string; readonly value: string }[],
): AttributeRules[] {
  const byType = new Map<string, { type: string; lengths: Set<number>; places: Map<string, number> }>();
  for (const [place, { attribute, value }] of rules.entries()) {
    const type = attribute.toLowerCase();
    const known = byType.get(type) ?? { type, lengths: new Set<number>(), places: new Map<string, number>() };
    byType.set(type, known);
    const wanted = value.toLowerCase();
    known.lengths.add(Buffer.byteLength(value)).add(Buffer.byteLength(wanted));
    if (!known.places.has(wanted)) known.places.set(wanted, place);
  }
  return [...byType.values()];
}

/** The place of the first rule that fits, or -1. */
function firstRule(rules: readonly AttributeRules[], attributes: SourceEntry['attributes']): number {
  let first = -1;
  for (const { type, lengths, places } of rules) {
    for (const value of attributes.get(type) ?? NONE) {
      if (!lengths.has(value.length)) continue;
      const place = places.get(value.toString('utf8').toLowerCase());
      if (place !== undefined && (first < 0 || place < first)) first = place;
    }
  }
  return first;
}

/** Shared and resource mailboxes are disabled accounts by nature, so only a user's flag counts. */
function isDisabled(attributes: SourceEntry['attributes']): boolean {
  const value = attributes.get('useraccountcontrol')?.[0];
  if (value === undefined || value.length > LONGEST_FLAGS) return false;
  const flags = Number(value.toString('latin1'));
  return Number.isInteger(flags) && (flags & ACCOUNT_DISABLED) !== 0;
}

/** What follows `smtp:`; the whole value when it has no prefix; undefined for addresses of other kinds (X500:, SIP:). */
function withoutPrefix(value: Buffer): Buffer | undefined {
  const colon = value.indexOf(0x3a);
  // A colon can be part of an address only inside quotes.
  if (colon < 0 || value[0] === 0x22) return value;
  return colon === 4 && value.toString('latin1', 0, 4).toLowerCase() === 'smtp'
    ? value.subarray(5)
    : undefined;
}

/** Sorted, each once. */
function inOrder(addresses: string[]): string[] {
  if (addresses.length === 1) return addresses;
  addresses.sort(byBytes);
  return addresses.filter((address, at) => at === 0 || address !== addresses[at - 1]);
}

/** The order of UTF-8 octets: code units of a pair stand above all others there, and must here. */
function byBytes(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const [x, y] = [a.charCodeAt(at), b.charCodeAt(at)];
    if (x !== y) return isSurrogate(x) === isSurrogate(y) ? x - y : isSurrogate(x) ? 1 : -1;
  }
  return a.length - b.length;
}

function isSurrogate(unit: number): boolean {
  return (unit & 0xf800) === 0xd800;
}
