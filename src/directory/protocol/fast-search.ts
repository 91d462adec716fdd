/**
 * The search that edges live on: an equality filter on one indexed attribute, no controls. It is decoded in place on the read
 * buffer; everything but the asserted value is remembered, by its octets, as a plan. Anything unusual is left to the ordinary
 * path, which gives the same answers: this file may only be faster.
 */
import type { Frame } from '../../ldap/framer.ts';
import { OPERATION_TAG } from '../../ldap/operation-tag.ts';
import type { Scope } from '../../ldap/message.ts';
import { equalBytes, hashBytes } from '../index/hash.ts';
import { MANY } from '../index/value-index.ts';
import type { Directory } from '../directory.ts';
import { DescriptorSet } from '../entry/entry.ts';
import { EntryView } from '../entry/layout.ts';
import type { Name } from '../entry/name.ts';
import type { AttributeType, MatchingRule } from '../schema/schema.ts';
import { assertedForm } from '../search/filter.ts';
import { Selection } from '../search/selection.ts';
import { writeSuccess } from './answer.ts';
import type { Client } from './client.ts';

interface Plan {
  /** What makes two requests the same but for the value. */
  readonly head: Buffer;
  readonly attribute: Buffer;
  readonly list: Buffer;
  readonly typesOnly: number;
  readonly baseText: string;
  readonly base: Name | undefined;
  readonly scope: Scope;
  /** As asked, and as stored: `mail` may ask hashed addresses. */
  readonly asked: AttributeType;
  readonly stored: AttributeType;
  readonly selection: Selection;
  baseId: number;
  structure: number;
}

const SLOTS = 256;
const SCOPES: readonly Scope[] = ['base', 'one', 'subtree'];
/** Longer lists and names are not worth remembering. */
const MOST_OCTETS = 2048;

export class FastSearch {
  readonly #directory: Directory;
  readonly #plans: (Plan | undefined)[] = new Array<undefined>(SLOTS).fill(undefined);
  readonly #seed: number;
  readonly #view = new EntryView();

  // Where the parts of the request at hand lie.
  #messageId = 0;
  #headStart = 0;
  #headEnd = 0;
  #typesOnly = 0;
  #attributeStart = 0;
  #attributeEnd = 0;
  #valueStart = 0;
  #valueEnd = 0;
  #listStart = 0;

  constructor(directory: Directory) {
    this.#directory = directory;
    this.#seed = directory.random.bytes(4).readUInt32LE();
  }

  /** Answers a request of this kind; false when it has to go the ordinary way. */
  try(client: Client, frame: Frame): boolean {
    const { buffer, end } = frame;
    if (!this.#parse(buffer, frame.start, end)) return false;
    const plan = this.#plan(buffer, end);
    if (plan === undefined || !client.server.allowsSearch(client.session)) return false;
    const directory = this.#directory;
    const { database, access } = directory;
    const { session } = client;
    if (!access.mayFind(session)) return false;
    if (directory.hooks.searchGate?.(session, plan.baseText) !== undefined) return false;
    if (plan.structure !== database.structure) {
      plan.baseId = database.resolve(plan.base);
      if (plan.baseId !== 0) database.watch(plan.baseId);
      plan.structure = database.structure;
    }
    const { baseId } = plan;
    // A missing or hidden base is an error with a matched DN: not here. The root has no entry and no rights of its own.
    if (plan.base !== undefined && (baseId === 0 || !access.view(session, baseId).visible)) return false;
    const value = buffer.subarray(this.#valueStart, this.#valueEnd);
    const { filterOptions } = directory;
    const normal =
      plan.stored === filterOptions.addressType && filterOptions.addressHasher !== undefined
        ? filterOptions.addressHasher(value)
        : assertedForm(plan.stored.equality as MatchingRule, value, database);
    const id = normal === undefined ? 0 : database.values.first(plan.stored, normal);
    if (id >= MANY) return false;
    const writer = client.connection.writer();
    if (id !== 0 && normal !== undefined && this.#inScope(id, plan) && database.read(id, this.#view)) {
      const rights = access.view(session, id);
      const view = this.#view;
      if (
        rights.visible &&
        rights.maySearch(plan.asked) &&
        rights.maySearch(plan.stored) &&
        database.values.has(view, plan.stored, normal)
      ) {
        plan.selection.write(writer, this.#messageId, id, view, rights, session);
      }
    }
    writeSuccess(writer, this.#messageId, OPERATION_TAG.searchResultDone);
    return true;
  }

  #inScope(id: number, { baseId, scope }: Plan): boolean {
    const { tree } = this.#directory.database;
    if (scope === 'subtree') return baseId === 0 || tree.isWithin(id, baseId);
    return scope === 'one' ? tree.parent(id) === baseId : id === baseId;
  }

  /** Finds the parts; false for any other request, odd encodings included. */
  #parse(b: Buffer, start: number, end: number): boolean {
    // LDAPMessage SEQUENCE: lengths were checked by the framer.
    let at = contentAt(b, start, end);
    if (at < 0 || b[at] !== 0x02) return false;
    const idLength = b[at + 1] as number;
    if (idLength < 1 || idLength > 4 || at + 2 + idLength >= end) return false;
    let messageId = 0;
    for (let i = 0; i < idLength; i++) messageId = messageId * 256 + (b[at + 2 + i] as number);
    if (messageId === 0 || messageId > 0x7fff_ffff) return false;
    this.#messageId = messageId;
    at += 2 + idLength;
    if (b[at] !== OPERATION_TAG.searchRequest) return false;
    const body = contentAt(b, at, end);
    // Nothing may follow the operation: controls take the ordinary way.
    if (body < 0 || body + lengthAt(b, at) !== end) return false;
    at = body;
    if (b[at] !== 0x04) return false;
    this.#headStart = at;
    at = skip(b, at, end);
    if (at < 0 || b[at] !== 0x0a || b[at + 1] !== 1 || (b[at + 2] as number) > 2) return false;
    at += 3;
    this.#headEnd = at;
    if (b[at] !== 0x0a || b[at + 1] !== 1 || (b[at + 2] as number) > 3) return false;
    at += 3;
    for (let i = 0; i < 2; i++) {
      // Size and time limits: one answer and no waiting satisfy any of them.
      const length = b[at + 1] as number;
      if (b[at] !== 0x02 || length < 1 || length > 4 || (b[at + 2] as number) > 0x7f) return false;
      at += 2 + length;
    }
    if (b[at] !== 0x01 || b[at + 1] !== 1) return false;
    this.#typesOnly = b[at + 2] === 0 ? 0 : 1;
    at += 3;
    if (b[at] !== 0xa3) return false;
    const filter = contentAt(b, at, end);
    if (filter < 0) return false;
    const filterEnd = filter + lengthAt(b, at);
    if (b[filter] !== 0x04) return false;
    this.#attributeStart = contentAt(b, filter, filterEnd);
    this.#attributeEnd = this.#attributeStart + lengthAt(b, filter);
    if (this.#attributeStart < 0 || this.#attributeEnd > filterEnd || b[this.#attributeEnd] !== 0x04)
      return false;
    this.#valueStart = contentAt(b, this.#attributeEnd, filterEnd);
    this.#valueEnd = this.#valueStart + lengthAt(b, this.#attributeEnd);
    if (this.#valueStart < 0 || this.#valueEnd !== filterEnd || b[filterEnd] !== 0x30) return false;
    this.#listStart = filterEnd;
    const list = contentAt(b, filterEnd, end);
    return list >= 0 && list + lengthAt(b, filterEnd) === end;
  }

  #plan(b: Buffer, end: number): Plan | undefined {
    if (end - this.#listStart > MOST_OCTETS || this.#headEnd - this.#headStart > MOST_OCTETS)
      return undefined;
    let hash = hashBytes(b, this.#headStart, this.#headEnd, this.#seed);
    hash = hashBytes(b, this.#attributeStart, this.#attributeEnd, hash);
    hash = hashBytes(b, this.#listStart, end, hash + this.#typesOnly);
    const slot = hash & (SLOTS - 1);
    const plan = this.#plans[slot];
    if (
      plan !== undefined &&
      plan.typesOnly === this.#typesOnly &&
      equalBytes(b, this.#headStart, this.#headEnd, plan.head) &&
      equalBytes(b, this.#attributeStart, this.#attributeEnd, plan.attribute) &&
      equalBytes(b, this.#listStart, end, plan.list)
    )
      return plan;
    const fresh = this.#makePlan(b, end);
    if (fresh !== undefined) this.#plans[slot] = fresh;
    return fresh;
  }

  /** Undefined for whatever this path doesn't serve. */
  #makePlan(b: Buffer, end: number): Plan | undefined {
    const { database, computed, filterOptions } = this.#directory;
    const attribute = Buffer.from(b.subarray(this.#attributeStart, this.#attributeEnd));
    const set = DescriptorSet.of(database, attribute.toString('latin1'));
    if (
      set === undefined ||
      set.options.length > 0 ||
      set.type.family.length > 1 ||
      set.type.name === 'objectClass'
    )
      return undefined;
    const hashed =
      filterOptions.addressHasher !== undefined && filterOptions.addressTypes?.has(set.type) === true;
    const stored = hashed ? filterOptions.addressType : set.type;
    if (
      stored === undefined ||
      stored.equality === undefined ||
      !database.values.covers(stored) ||
      computed.has(stored)
    )
      return undefined;
    const head = Buffer.from(b.subarray(this.#headStart, this.#headEnd));
    const scope = SCOPES[head[head.length - 1] as number];
    const baseStart = contentAt(head, 0, head.length);
    const baseText = head.toString('utf8', baseStart, baseStart + lengthAt(head, 0));
    const base = baseText === '' ? undefined : database.names.tryRead(baseText);
    if (scope === undefined || (base === undefined && (baseText !== '' || scope === 'base')))
      return undefined;
    // The subschema is answered elsewhere.
    if (base !== undefined && database.contextOf(base) === undefined) return undefined;
    const list = Buffer.from(b.subarray(this.#listStart, end));
    const names = listOf(list);
    if (names === undefined) return undefined;
    if (base !== undefined) database.watchName(base);
    const selection = new Selection(database, computed, names, this.#typesOnly === 1);
    return {
      head,
      attribute,
      list,
      typesOnly: this.#typesOnly,
      baseText,
      base,
      scope,
      asked: set.type,
      stored,
      selection,
      baseId: 0,
      structure: -1,
    };
  }
}

/** Names of an AttributeSelection; undefined when it is malformed. */
function listOf(list: Buffer): string[] | undefined {
  const names: string[] = [];
  for (let at = contentAt(list, 0, list.length); at < list.length; ) {
    if (list[at] !== 0x04) return undefined;
    const start = contentAt(list, at, list.length);
    if (start < 0) return undefined;
    const end = start + lengthAt(list, at);
    names.push(list.toString('utf8', start, end));
    at = end;
  }
  return names;
}

/** Start of the content of the element at `at`; -1 when it is not whole before `end` or its length is longer than three octets. */
function contentAt(b: Buffer, at: number, end: number): number {
  const first = b[at + 1];
  if (first === undefined) return -1;
  const content =
    first < 0x80 ? at + 2 : first === 0x81 ? at + 3 : first === 0x82 ? at + 4 : first === 0x84 ? at + 6 : -1;
  return content < 0 || content + lengthAt(b, at) > end ? -1 : content;
}

function lengthAt(b: Buffer, at: number): number {
  const first = b[at + 1] as number;
  if (first < 0x80) return first;
  if (first === 0x81) return b[at + 2] as number;
  if (first === 0x82) return ((b[at + 2] as number) << 8) | (b[at + 3] as number);
  return (
    (b[at + 2] as number) * 0x100_0000 +
    (((b[at + 3] as number) << 16) | ((b[at + 4] as number) << 8) | (b[at + 5] as number))
  );
}

/** Behind the element at `at`; -1 when it is not whole. */
function skip(b: Buffer, at: number, end: number): number {
  const content = contentAt(b, at, end);
  return content < 0 ? -1 : content + lengthAt(b, at);
}
