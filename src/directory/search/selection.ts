/**
 * The attribute list of a search (RFC 4511 §4.5.1.8) compiled: which stored attributes go out, which computed ones, and the
 * way from a stored entry to a SearchResultEntry by copying slices.
 */
import { TAG } from '../../asn1/tag.ts';
import { type BerWriter, lengthOctets } from '../../asn1/writer.ts';
import type { Attribute } from '../../ldap/message.ts';
import { OPERATION_TAG } from '../../ldap/operation-tag.ts';
import type { AccessView } from '../access/access.ts';
import type { Database } from '../database.ts';
import type { ComputedAttribute } from '../entry/computed.ts';
import { DescriptorSet } from '../entry/entry.ts';
import {
  contentLength,
  contentStart,
  type EntryView,
  ROW_LENGTH,
  u16,
  u32,
  valuesBetween,
  valuesStart,
} from '../entry/layout.ts';
import { refuse } from '../refusal.ts';
import type { AttributeType } from '../schema/schema.ts';
import type { Session } from '../session.ts';

/** What goes out of every entry of a search, for one access view. */
interface Sending {
  /** By descriptor number: 0 not looked at, 1 send, 2 don't. */
  flags: Uint8Array;
  readonly computed: readonly ComputedAttribute[];
}

interface ComputedValues {
  readonly wire: Buffer;
  readonly values: readonly Buffer[];
  readonly setLength: number;
  readonly contentLength: number;
}

/** Names that a client may ask for; longer lists are refused rather than cut. */
const MOST_NAMES = 2000;

export class Selection {
  readonly #database: Database;
  readonly #computed: ReadonlyMap<AttributeType, ComputedAttribute>;
  #allUser = false;
  #allOperational = false;
  readonly #sets: DescriptorSet[] = [];
  readonly #sending = new Map<AccessView, Sending>();
  readonly typesOnly: boolean;

  constructor(
    database: Database,
    computed: ReadonlyMap<AttributeType, ComputedAttribute>,
    names: readonly string[],
    typesOnly: boolean,
  ) {
    this.#database = database;
    this.#computed = computed;
    this.typesOnly = typesOnly;
    if (names.length === 0) this.#allUser = true;
    if (names.length > MOST_NAMES) refuse('adminLimitExceeded', 'too many attributes are asked for');
    for (const name of names) this.#addName(name);
  }

  #addName(name: string): void {
    if (name === '*') this.#allUser = true;
    else if (name === '+') this.#allOperational = true;
    else if (name.startsWith('@')) {
      // RFC 4529: every attribute of an object class.
      const objectClass = this.#database.schema.objectClass(name.slice(1));
      if (objectClass?.name === 'extensibleObject') this.#allUser = true;
      for (const type of [...(objectClass?.must ?? []), ...(objectClass?.may ?? [])])
        this.#sets.push(new DescriptorSet(this.#database, type, []));
    } else if (name !== '1.1') {
      const set = DescriptorSet.of(this.#database, name);
      if (set !== undefined) this.#sets.push(set);
    }
  }

  #wants(type: AttributeType): boolean {
    if (type.operational ? this.#allOperational : this.#allUser) return true;
    return this.#sets.some((set) => set.options.length === 0 && set.type.family.includes(type));
  }

  #for(access: AccessView): Sending {
    let sending = this.#sending.get(access);
    if (sending === undefined) {
      const computed = [...this.#computed.values()].filter(
        ({ type }) => this.#wants(type) && access.mayRead(type),
      );
      sending = { flags: new Uint8Array(64), computed };
      this.#sending.set(access, sending);
    }
    return sending;
  }

  #flag(sending: Sending, access: AccessView, id: number): number {
    const known = sending.flags[id];
    if (known !== undefined && known !== 0) return known;
    if (id >= sending.flags.length) {
      const grown = new Uint8Array(id * 2 + 64);
      grown.set(sending.flags);
      sending.flags = grown;
    }
    const { type } = this.#database.dictionary.descriptor(id);
    const wanted =
      (type.operational ? this.#allOperational : this.#allUser) || this.#sets.some((set) => set.has(id));
    // A computed type's stored values, should there be any, never go out beside the computed ones.
    const flag = wanted && access.mayRead(type) && !this.#computed.has(type) ? 1 : 2;
    sending.flags[id] = flag;
    return flag;
  }

  #computedValues(sending: Sending, id: number, view: EntryView, session: Session): ComputedValues[] {
    const list: ComputedValues[] = [];
    for (const { wire, values: compute } of sending.computed) {
      const values = compute(id, view, session);
      if (values.length === 0) continue;
      let setLength = 0;
      if (!this.typesOnly)
        for (const value of values) setLength += 1 + lengthOctets(value.length) + value.length;
      list.push({
        wire,
        values,
        setLength,
        contentLength: wire.length + 1 + lengthOctets(setLength) + setLength,
      });
    }
    return list;
  }

  /**
   * Appends a SearchResultEntry operation, without the message around it when `messageId` is undefined. `dn`: UTF-8. `controls`:
   * encoded `[0]` element to put behind it.
   */
  write(
    writer: BerWriter,
    messageId: number | undefined,
    id: number,
    view: EntryView,
    access: AccessView,
    session: Session,
    controls?: Buffer,
  ): void {
    const sending = this.#for(access);
    const extra =
      sending.computed.length === 0 ? NO_VALUES : this.#computedValues(sending, id, view, session);
    const { typesOnly } = this;
    const { buffer } = view;
    const first = view.attributes;
    const rows = view.rows;
    let list = 0;
    for (let row = rows, start = first; row < first; row += ROW_LENGTH) {
      const end = first + u32(buffer, row + 2);
      if (this.#flag(sending, access, u16(buffer, row)) === 1)
        list += typesOnly ? typeOnlyLength(buffer, start) : end - start;
      start = end;
    }
    for (const item of extra) list += 1 + lengthOctets(item.contentLength) + item.contentLength;
    const parent = view.parent;
    const rdnLength = view.rdnLength;
    const above = parent === 0 ? undefined : this.#database.parentDn(parent);
    const dnLength = above === undefined ? rdnLength : rdnLength + 1 + above.length;
    const body = 1 + lengthOctets(dnLength) + dnLength + 1 + lengthOctets(list) + list;
    if (messageId !== undefined) {
      const idSize = messageId < 0x80 ? 3 : messageId < 0x8000 ? 4 : messageId < 0x80_0000 ? 5 : 6;
      writer.header(TAG.sequence, idSize + 1 + lengthOctets(body) + body + (controls?.length ?? 0));
      writer.integer(messageId);
    }
    writer.header(OPERATION_TAG.searchResultEntry, body);
    writer.header(TAG.octetString, dnLength);
    const rdnStart = view.rdnStart;
    writer.slice(buffer, rdnStart, rdnStart + rdnLength);
    if (above !== undefined) {
      writer.raw(COMMA);
      writer.raw(above);
    }
    writer.header(TAG.sequence, list);
    // Neighbours go out in one copy.
    let from = -1;
    let end = first;
    for (let row = rows; row < first; row += ROW_LENGTH) {
      const start = end;
      const send = this.#flag(sending, access, u16(buffer, row)) === 1;
      if (send && from === -1) from = start;
      if (!send && from !== -1) {
        copyAttributes(writer, buffer, from, start, typesOnly);
        from = -1;
      }
      end = first + u32(buffer, row + 2);
    }
    if (from !== -1) copyAttributes(writer, buffer, from, end, typesOnly);
    for (const item of extra) {
      writer.header(TAG.sequence, item.contentLength);
      writer.raw(item.wire);
      writer.header(TAG.set, item.setLength);
      if (!typesOnly) for (const value of item.values) writer.octets(value);
    }
    if (controls !== undefined) writer.raw(controls);
  }

  /** The same as data. */
  attributes(id: number, view: EntryView, access: AccessView, session: Session): Attribute[] {
    const sending = this.#for(access);
    const list: Attribute[] = [];
    for (let n = 0, count = view.attributeCount; n < count; n++) {
      const descriptor = view.descriptor(n);
      if (this.#flag(sending, access, descriptor) !== 1) continue;
      const start = view.attributeStart(n);
      const values = this.typesOnly
        ? []
        : valuesBetween(view.buffer, valuesStart(view.buffer, start), view.attributeEnd(n));
      list.push({ type: this.#database.dictionary.descriptor(descriptor).text, values });
    }
    for (const { type, values: compute } of sending.computed) {
      const values = compute(id, view, session);
      if (values.length > 0) list.push({ type: type.name, values: this.typesOnly ? [] : values });
    }
    return list;
  }
}

const NO_VALUES: readonly ComputedValues[] = [];
const COMMA = Buffer.from(',');

/** Octets of a description as an OCTET STRING in a PartialAttribute. */
function wireLength(buffer: Buffer, attributeStart: number): number {
  const at = contentStart(buffer, attributeStart);
  return contentStart(buffer, at) - at + contentLength(buffer, at);
}

function typeOnlyLength(buffer: Buffer, attributeStart: number): number {
  const content = wireLength(buffer, attributeStart) + 2;
  return 1 + lengthOctets(content) + content;
}

function copyAttributes(
  writer: BerWriter,
  buffer: Buffer,
  from: number,
  to: number,
  typesOnly: boolean,
): void {
  if (!typesOnly) return writer.slice(buffer, from, to);
  for (let at = from; at < to; at = contentStart(buffer, at) + contentLength(buffer, at)) {
    const length = wireLength(buffer, at);
    const description = contentStart(buffer, at);
    writer.header(TAG.sequence, length + 2);
    writer.slice(buffer, description, description + length);
    writer.header(TAG.set, 0);
  }
}
