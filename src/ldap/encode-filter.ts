/** Filters to the wire (RFC 4511 §4.5.1.7). */
import { contextConstructed, contextTag, TAG } from '../asn1/tag.ts';
import type { BerWriter } from '../asn1/writer.ts';
import type { Filter } from './message.ts';

const ASSERTION_TAG = {
  equality: contextConstructed(3),
  greaterOrEqual: contextConstructed(5),
  lessOrEqual: contextConstructed(6),
  approx: contextConstructed(8),
} as const;

export function encodeFilter(writer: BerWriter, filter: Filter): void {
  switch (filter.kind) {
    case 'and':
    case 'or': {
      const mark = writer.open(contextConstructed(filter.kind === 'and' ? 0 : 1));
      for (const part of filter.filters) encodeFilter(writer, part);
      writer.close(mark);
      return;
    }
    case 'not': {
      const mark = writer.open(contextConstructed(2));
      encodeFilter(writer, filter.filter);
      writer.close(mark);
      return;
    }
    case 'present':
      writer.text(filter.attribute, contextTag(7));
      return;
    case 'substrings':
      encodeSubstrings(writer, filter);
      return;
    case 'extensible': {
      const mark = writer.open(contextConstructed(9));
      if (filter.matchingRule !== undefined) writer.text(filter.matchingRule, contextTag(1));
      if (filter.attribute !== undefined) writer.text(filter.attribute, contextTag(2));
      writer.octets(filter.value, contextTag(3));
      if (filter.dnAttributes) writer.boolean(true, contextTag(4));
      writer.close(mark);
      return;
    }
    default: {
      const mark = writer.open(ASSERTION_TAG[filter.kind]);
      writer.text(filter.attribute);
      writer.octets(filter.value);
      writer.close(mark);
    }
  }
}

function encodeSubstrings(writer: BerWriter, filter: Extract<Filter, { kind: 'substrings' }>): void {
  const mark = writer.open(contextConstructed(4));
  writer.text(filter.attribute);
  const list = writer.open(TAG.sequence);
  if (filter.initial !== undefined) writer.octets(filter.initial, contextTag(0));
  for (const part of filter.any) writer.octets(part, contextTag(1));
  if (filter.final !== undefined) writer.octets(filter.final, contextTag(2));
  writer.close(list);
  writer.close(mark);
}
