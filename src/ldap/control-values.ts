/** Values of controls both ways, but for RFC 4533's (`sync-values.ts`). Decoders throw `DecodeError`, also for a missing value. */
import { contextTag, TAG } from '../asn1/tag.ts';
import { encodeDer } from '../asn1/writer.ts';
import { decodeAttributes, decodeTexts } from './decode-attribute.ts';
import { decodeFilter } from './decode-filter.ts';
import { encodeAttribute } from './encode-request.ts';
import { encodeFilter } from './encode-filter.ts';
import { type DecodeLimits, SERVER_LIMITS } from './limits.ts';
import { MAX_INT } from './max-int.ts';
import type { Filter, SearchResultEntry } from './message.ts';
import { OPERATION_TAG } from './operation-tag.ts';
import { decodeValue } from './value.ts';

/** RFC 2696 §2. In requests `size` is the page size; in responses an estimate of the total, 0 = unknown. */
export interface PagedResults {
  readonly size: number;
  readonly cookie: Buffer;
}

export function encodePagedResults(value: PagedResults): Buffer {
  return encodeDer((writer) => {
    const mark = writer.open(TAG.sequence);
    writer.integer(value.size);
    writer.octets(value.cookie);
    writer.close(mark);
  });
}

export function decodePagedResults(value: Buffer | undefined): PagedResults {
  return decodeValue(value, (reader) => {
    const outer = reader.enter(TAG.sequence);
    const size = reader.integer(0, MAX_INT);
    const cookie = reader.octets();
    reader.skipRest(outer);
    return { size, cookie };
  });
}

/** RFC 2891 §1.1 */
export interface SortKey {
  readonly attribute: string;
  readonly orderingRule?: string;
  readonly reverse: boolean;
}

const MOST_SORT_KEYS = 32;

export function encodeSortRequest(keys: readonly SortKey[]): Buffer {
  return encodeDer((writer) => {
    const list = writer.open(TAG.sequence);
    for (const key of keys) {
      const mark = writer.open(TAG.sequence);
      writer.text(key.attribute);
      if (key.orderingRule !== undefined) writer.text(key.orderingRule, contextTag(0));
      if (key.reverse) writer.boolean(true, contextTag(1));
      writer.close(mark);
    }
    writer.close(list);
  });
}

export function decodeSortRequest(value: Buffer | undefined): SortKey[] {
  return decodeValue(value, (reader) => {
    const outer = reader.enter(TAG.sequence);
    const keys: SortKey[] = [];
    while (reader.more) {
      if (keys.length >= MOST_SORT_KEYS) reader.fail('too many sort keys');
      const mark = reader.enter(TAG.sequence);
      const attribute = reader.text();
      const orderingRule = reader.peek() === contextTag(0) ? reader.text(contextTag(0)) : undefined;
      const reverse = reader.peek() === contextTag(1) ? reader.boolean(contextTag(1)) : false;
      reader.skipRest(mark);
      keys.push(orderingRule === undefined ? { attribute, reverse } : { attribute, orderingRule, reverse });
    }
    reader.leave(outer);
    return keys;
  });
}

/** RFC 2891 §1.2; `code` is a result code. */
export interface SortResult {
  readonly code: number;
  readonly attribute?: string;
}

export function encodeSortResult(value: SortResult): Buffer {
  return encodeDer((writer) => {
    const mark = writer.open(TAG.sequence);
    writer.enumerated(value.code);
    if (value.attribute !== undefined) writer.text(value.attribute, contextTag(0));
    writer.close(mark);
  });
}

export function decodeSortResult(value: Buffer | undefined): SortResult {
  return decodeValue(value, (reader) => {
    const outer = reader.enter(TAG.sequence);
    const code = reader.enumerated(MAX_INT);
    const attribute = reader.peek() === contextTag(0) ? reader.text(contextTag(0)) : undefined;
    reader.skipRest(outer);
    return attribute === undefined ? { code } : { code, attribute };
  });
}

/** RFC 4528 §3: the value is a filter. */
export function encodeAssertion(filter: Filter): Buffer {
  return encodeDer((writer) => encodeFilter(writer, filter));
}

export function decodeAssertion(value: Buffer | undefined, limits: DecodeLimits = SERVER_LIMITS): Filter {
  return decodeValue(value, (reader) => decodeFilter(reader, limits));
}

/** RFC 4527 §3: the request's value is an attribute selection. */
export function encodeReadRequest(attributes: readonly string[]): Buffer {
  return encodeDer((writer) => {
    const mark = writer.open(TAG.sequence);
    for (const attribute of attributes) writer.text(attribute);
    writer.close(mark);
  });
}

export function decodeReadRequest(value: Buffer | undefined, limits: DecodeLimits = SERVER_LIMITS): string[] {
  return decodeValue(value, (reader) => {
    const outer = reader.enter(TAG.sequence);
    const attributes = decodeTexts(reader, limits.attributes);
    reader.leave(outer);
    return attributes;
  });
}

/** RFC 4527 §3: the response's value is a SearchResultEntry. */
export function encodeReadResult(entry: Omit<SearchResultEntry, 'op'>): Buffer {
  return encodeDer((writer) => {
    const mark = writer.open(OPERATION_TAG.searchResultEntry);
    writer.text(entry.dn);
    const list = writer.open(TAG.sequence);
    for (const attribute of entry.attributes) encodeAttribute(writer, attribute);
    writer.close(list);
    writer.close(mark);
  });
}

export function decodeReadResult(
  value: Buffer | undefined,
  limits: DecodeLimits = SERVER_LIMITS,
): SearchResultEntry {
  return decodeValue(value, (reader) => {
    const outer = reader.enter(OPERATION_TAG.searchResultEntry);
    const dn = reader.text();
    const attributes = decodeAttributes(reader, limits);
    reader.skipRest(outer);
    return { op: 'searchResultEntry', dn, attributes };
  });
}

/** RFC 3672 §3: TRUE = only subentries are visible. */
export function encodeSubentries(visible: boolean): Buffer {
  return encodeDer((writer) => writer.boolean(visible));
}

export function decodeSubentries(value: Buffer | undefined): boolean {
  return decodeValue(value, (reader) => reader.boolean());
}
