/** Filters on the wire (RFC 4511 §4.5.1.7). Depth and number of components are bounded. */
import type { BerReader } from '../asn1/reader.ts';
import { contextConstructed, contextTag, TAG } from '../asn1/tag.ts';
import type { DecodeLimits } from './limits.ts';
import type { Filter } from './message.ts';

interface Budget {
  nodes: number;
}

export function decodeFilter(reader: BerReader, limits: DecodeLimits): Filter {
  return decode(reader, limits.filterDepth, { nodes: limits.filterNodes });
}

function decode(reader: BerReader, depth: number, budget: Budget): Filter {
  if (depth <= 0) reader.fail('filter is nested too deeply');
  spend(reader, budget);
  const tag = reader.peek();
  switch (tag) {
    case contextConstructed(0):
    case contextConstructed(1): {
      const outer = reader.enter(tag);
      const filters: Filter[] = [];
      while (reader.more) filters.push(decode(reader, depth - 1, budget));
      reader.leave(outer);
      return { kind: tag === contextConstructed(0) ? 'and' : 'or', filters };
    }
    case contextConstructed(2): {
      const outer = reader.enter(tag);
      const filter = decode(reader, depth - 1, budget);
      reader.leave(outer);
      return { kind: 'not', filter };
    }
    case contextConstructed(3):
      return decodeAssertion(reader, tag, 'equality');
    case contextConstructed(4):
      return decodeSubstrings(reader, budget);
    case contextConstructed(5):
      return decodeAssertion(reader, tag, 'greaterOrEqual');
    case contextConstructed(6):
      return decodeAssertion(reader, tag, 'lessOrEqual');
    case contextTag(7):
      return { kind: 'present', attribute: reader.text(tag) };
    case contextConstructed(8):
      return decodeAssertion(reader, tag, 'approx');
    case contextConstructed(9):
      return decodeExtensible(reader);
    default:
      return reader.fail('unknown kind of filter');
  }
}

function spend(reader: BerReader, budget: Budget): void {
  if (--budget.nodes < 0) reader.fail('filter has too many components');
}

function decodeAssertion(
  reader: BerReader,
  tag: number,
  kind: 'equality' | 'greaterOrEqual' | 'lessOrEqual' | 'approx',
): Filter {
  const outer = reader.enter(tag);
  const attribute = reader.name();
  const value = reader.octets();
  reader.skipRest(outer);
  return { kind, attribute, value };
}

/** `initial` only at the beginning, `final` only at the end, at least one component. */
function decodeSubstrings(reader: BerReader, budget: Budget): Filter {
  const outer = reader.enter(contextConstructed(4));
  const attribute = reader.name();
  const list = reader.enter(TAG.sequence);
  if (!reader.more) reader.fail('substring filter without components');
  const initial = reader.peek() === contextTag(0) ? reader.octets(contextTag(0)) : undefined;
  const any: Buffer[] = [];
  while (reader.peek() === contextTag(1)) {
    spend(reader, budget);
    any.push(reader.octets(contextTag(1)));
  }
  const final = reader.peek() === contextTag(2) ? reader.octets(contextTag(2)) : undefined;
  reader.leave(list);
  reader.skipRest(outer);
  return {
    kind: 'substrings',
    attribute,
    any,
    ...(initial !== undefined && { initial }),
    ...(final !== undefined && { final }),
  };
}

/** MatchingRuleAssertion: at least one of rule and type. */
function decodeExtensible(reader: BerReader): Filter {
  const outer = reader.enter(contextConstructed(9));
  const matchingRule = reader.peek() === contextTag(1) ? reader.text(contextTag(1)) : undefined;
  const attribute = reader.peek() === contextTag(2) ? reader.text(contextTag(2)) : undefined;
  const value = reader.octets(contextTag(3));
  const dnAttributes = reader.peek() === contextTag(4) ? reader.boolean(contextTag(4)) : false;
  if (matchingRule === undefined && attribute === undefined)
    reader.fail('extensible filter names neither rule nor attribute');
  reader.skipRest(outer);
  return {
    kind: 'extensible',
    value,
    dnAttributes,
    ...(matchingRule !== undefined && { matchingRule }),
    ...(attribute !== undefined && { attribute }),
  };
}
