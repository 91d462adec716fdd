/**
 * Sort keys (RFC 2891 §1.1) compiled, and the octets that an entry is sorted by: all its keys in one string whose order, octet by octet, is
 * the order asked for. Pure: knows entries, no search.
 */
import type { SortKey } from '../../ldap/control-values.ts';
import { DescriptorSet } from '../entry/entry.ts';
import { valuesBetween, valuesStart } from '../entry/layout.ts';
import { resultOf } from '../refusal.ts';
import { ADDRESS_RULE } from '../schema/matching-rule.ts';
import type { AttributeType, MatchingRule, Schema } from '../schema/schema.ts';
import { SYNTAX } from '../schema/syntax.ts';
import { type FilterOptions, isAddressType } from './filter.ts';
import type { MatchContext } from './matcher.ts';
import type { LdapResult } from '../../ldap/message.ts';

export interface CompiledKey {
  readonly set: DescriptorSet;
  readonly rule: MatchingRule;
  readonly reverse: boolean;
}

/** Why it can't be sorted like that: result and attribute for the response control. */
export interface SortFault {
  readonly result: LdapResult;
  readonly attribute: string;
}

export function compileSort(
  keys: readonly SortKey[],
  options: FilterOptions,
): readonly CompiledKey[] | SortFault {
  const { database } = options;
  const compiled: CompiledKey[] = [];
  if (keys.length === 0) return { result: resultOf('unwillingToPerform', 'no sort key'), attribute: '' };
  for (const { attribute, orderingRule, reverse } of keys) {
    const fault = (name: Parameters<typeof resultOf>[0], why: string): SortFault => ({
      result: resultOf(name, `cannot sort by ${attribute.slice(0, 100)}: ${why}`),
      attribute,
    });
    const set = DescriptorSet.of(database, attribute);
    if (set === undefined) return fault('noSuchAttribute', 'attribute type is unknown');
    if (isAddressType(options, set.type) || set.type.equality?.name === ADDRESS_RULE)
      return fault('inappropriateMatching', 'it is stored hashed');
    const rule =
      orderingRule === undefined
        ? defaultOrder(set.type, database.schema)
        : database.schema.matchingRule(orderingRule);
    if (rule === undefined || rule.kind !== 'ordering')
      return fault('inappropriateMatching', 'no such ordering rule');
    if (!isApplicable(rule, set.type))
      return fault('inappropriateMatching', `${rule.name} does not apply to it`);
    if (compiled.some((key) => key.set.type === set.type && sameOptions(key.set, set)))
      return fault('unwillingToPerform', 'it is named twice');
    compiled.push({ set, rule, reverse });
  }
  return compiled;
}

function sameOptions(a: DescriptorSet, b: DescriptorSet): boolean {
  return a.options.join(';') === b.options.join(';');
}

/** By the type's ordering rule, or else the one that orders what its equality rule tells apart: most names in RFC 4519 have none. */
function defaultOrder(type: AttributeType, schema: Schema): MatchingRule | undefined {
  if (type.ordering !== undefined) return type.ordering;
  const equality = type.equality?.name ?? '';
  return schema.matchingRule(EQUIVALENT[equality] ?? equality.replace(/Match$/, 'OrderingMatch'));
}

const EQUIVALENT: Readonly<Record<string, string>> = {
  caseIgnoreIA5Match: 'caseIgnoreOrderingMatch',
  caseExactIA5Match: 'caseExactOrderingMatch',
  telephoneNumberMatch: 'caseIgnoreOrderingMatch',
};

const STRINGS: ReadonlySet<string> = new Set([
  SYNTAX.directoryString,
  SYNTAX.ia5String,
  SYNTAX.countryString,
  SYNTAX.printableString,
  SYNTAX.telephoneNumber,
  SYNTAX.numericString,
]);

function isApplicable(rule: MatchingRule, type: AttributeType): boolean {
  if (type.ordering === rule || type.syntax.oid === rule.syntax) return true;
  return rule.syntax === SYNTAX.directoryString && STRINGS.has(type.syntax.oid);
}

const PRESENT = 1;
const MISSING = 2;

/**
 * The octets that this entry is sorted by. Of several values the least counts, and none comes behind all (RFC 2891 §2.2). What the session
 * may not search it does not have: an order tells as much as a filter.
 */
export function sortKeyOf(keys: readonly CompiledKey[], context: MatchContext): Buffer {
  const parts: Buffer[] = [];
  for (const { set, rule, reverse } of keys) {
    const least = leastValue(set, rule, context);
    const part = least === undefined ? Buffer.from([MISSING]) : terminated(least);
    if (reverse) for (let i = 0; i < part.length; i++) part[i] = 0xff - (part[i] as number);
    parts.push(part);
  }
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
}

function leastValue(set: DescriptorSet, rule: MatchingRule, context: MatchContext): Buffer | undefined {
  const { view, access, database } = context;
  let least: Buffer | undefined;
  const look = (value: Buffer): void => {
    const normal = rule.normalise(value, database.names);
    if (normal !== undefined && (least === undefined || normal.compare(least) < 0)) least = normal;
  };
  const computed = context.computed.get(set.type);
  if (computed !== undefined) {
    if (access.maySearch(set.type)) computed.values(context.id, view, context.session).forEach(look);
    return least;
  }
  for (let n = 0, count = view.attributeCount; n < count; n++) {
    const descriptor = view.descriptor(n);
    if (!set.has(descriptor)) continue;
    if (!access.maySearch(database.dictionary.descriptor(descriptor).type)) continue;
    const { buffer } = view;
    valuesBetween(buffer, valuesStart(buffer, view.attributeStart(n)), view.attributeEnd(n)).forEach(look);
  }
  return least;
}

/** A value such that a longer one comes behind its own beginning, whatever follows: 0 is written as 0 1, the end as 0 0. */
function terminated(value: Buffer): Buffer {
  let zeros = 0;
  for (const octet of value) if (octet === 0) zeros++;
  const out = Buffer.alloc(value.length + zeros + 3);
  out[0] = PRESENT;
  let at = 1;
  for (const octet of value) {
    out[at++] = octet;
    if (octet === 0) out[at++] = 1;
  }
  return out;
}
