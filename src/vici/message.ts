/**
 * A vici message (strongSwan's "vici" README, message format): a tree of sections with values and lists, to bytes and back. Pure and bounded.
 * Knows neither packets, nor sockets, nor what any key means.
 */
import { DecodeError } from '../base/decode-error.ts';
import { PosternError } from '../base/error.ts';

/** Keys in the order of arrival. Values are any bytes; charon itself sends text. */
export type ViciSection = ReadonlyMap<string, ViciElement>;
export type ViciElement = Buffer | readonly Buffer[] | ViciSection;

/** What can be sent: text (UTF-8), numbers (decimal), `yes` and `no`, bytes, lists of them, sections. Undefined is left out. */
export type ViciInput = string | number | boolean | Uint8Array | readonly (string | Uint8Array)[] | ViciTree;
export interface ViciTree {
  readonly [key: string]: ViciInput | undefined;
}

const ELEMENT = {
  sectionStart: 1,
  sectionEnd: 2,
  keyValue: 3,
  listStart: 4,
  listItem: 5,
  listEnd: 6,
} as const;

const MOST_NAME_BYTES = 0xff;
const MOST_VALUE_BYTES = 0xffff;
/** Sections within sections. charon's own go four deep. */
export const MOST_DEPTH = 32;

/** Throws `DecodeError`, with the offset within `bytes`. Values are parts of `bytes`, uncopied. */
export function decodeMessage(bytes: Buffer): ViciSection {
  return new MessageReader(bytes).message();
}

class MessageReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  message(): ViciSection {
    const root = new Map<string, ViciElement>();
    const open = [root];
    while (this.#at < this.#bytes.length) {
      const start = this.#at;
      const type = this.#byte('an element');
      const section = open.at(-1) as Map<string, ViciElement>;
      if (type === ELEMENT.sectionEnd) {
        if (open.length === 1) throw new DecodeError('end of a section that was not begun', start);
        open.pop();
        continue;
      }
      const name = this.#elementName(type, section, start);
      if (type === ELEMENT.keyValue) section.set(name, this.#value());
      else if (type === ELEMENT.listStart) section.set(name, this.#list());
      else {
        if (open.length > MOST_DEPTH) throw new DecodeError('sections are nested too deep', start);
        const inner = new Map<string, ViciElement>();
        section.set(name, inner);
        open.push(inner);
      }
    }
    if (open.length > 1) throw new DecodeError('a section is not ended', this.#at);
    return root;
  }

  #elementName(type: number, section: ViciSection, start: number): string {
    if (type !== ELEMENT.keyValue && type !== ELEMENT.listStart && type !== ELEMENT.sectionStart) {
      const known = type === ELEMENT.listItem || type === ELEMENT.listEnd;
      throw new DecodeError(
        known ? 'a part of a list outside of a list' : `unknown type of element ${type}`,
        start,
      );
    }
    const name = readText(this.#take(this.#byte('the length of a name'), 'a name'));
    // Whoever took the last of two values and whoever took the first would see two messages.
    if (section.has(name)) throw new DecodeError('a name stands twice in a section', start);
    return name;
  }

  #list(): Buffer[] {
    const items: Buffer[] = [];
    for (;;) {
      const start = this.#at;
      const type = this.#byte('a list item');
      if (type === ELEMENT.listEnd) return items;
      if (type !== ELEMENT.listItem) throw new DecodeError(`element of type ${type} within a list`, start);
      items.push(this.#value());
    }
  }

  #value(): Buffer {
    const length = this.#byte('the length of a value') * 256 + this.#byte('the length of a value');
    return this.#take(length, 'a value');
  }

  #byte(what: string): number {
    return this.#take(1, what)[0] as number;
  }

  #take(length: number, what: string): Buffer {
    if (length > this.#bytes.length - this.#at) throw new DecodeError(`ends within ${what}`, this.#at);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

/** Names and values as text: UTF-8, and where it is not, each byte one character. */
export function readText(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  return text.includes('\ufffd') ? bytes.toString('latin1') : text;
}

/** Throws `vici.too-large` for a name of more than 255 or a value of more than 65,535 bytes. */
export function encodeMessage(tree: ViciTree): Buffer {
  const parts: Buffer[] = [];
  encodeSection(tree, parts);
  return Buffer.concat(parts);
}

function encodeSection(tree: ViciTree, parts: Buffer[]): void {
  for (const [key, input] of Object.entries(tree)) {
    if (input === undefined) continue;
    if (isList(input)) {
      parts.push(header(ELEMENT.listStart, key));
      for (const item of input) parts.push(Buffer.of(ELEMENT.listItem), ...value(key, item));
      parts.push(Buffer.of(ELEMENT.listEnd));
    } else if (typeof input === 'object' && !(input instanceof Uint8Array)) {
      parts.push(header(ELEMENT.sectionStart, key));
      encodeSection(input, parts);
      parts.push(Buffer.of(ELEMENT.sectionEnd));
    } else {
      const text = typeof input === 'boolean' ? (input ? 'yes' : 'no') : input;
      parts.push(
        header(ELEMENT.keyValue, key),
        ...value(key, typeof text === 'number' ? String(text) : text),
      );
    }
  }
}

const isList = (input: ViciInput): input is readonly (string | Uint8Array)[] => Array.isArray(input);

function header(type: number, name: string): Buffer {
  const bytes = Buffer.from(name, 'utf8');
  if (bytes.length > MOST_NAME_BYTES) throw tooLarge('a name', bytes.length, MOST_NAME_BYTES);
  return Buffer.concat([Buffer.of(type, bytes.length), bytes]);
}

function value(key: string, input: string | Uint8Array): [Buffer, Buffer] {
  const bytes = typeof input === 'string' ? Buffer.from(input, 'utf8') : Buffer.from(input);
  if (bytes.length > MOST_VALUE_BYTES) throw tooLarge(`the value of ${key}`, bytes.length, MOST_VALUE_BYTES);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return [length, bytes];
}

export function tooLarge(what: string, bytes: number, most: number): PosternError {
  return new PosternError('vici.too-large', `${what} has ${bytes} bytes; charon takes at most ${most}`, {
    hint: 'name fewer addresses, ports or certificates for this peer',
    fields: { bytes, most },
  });
}
