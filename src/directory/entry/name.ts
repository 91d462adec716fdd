/**
 * Names as the directory compares them: the schema applied to RFC 4514. A `Name` shares its parents, so that a thousand
 * siblings cost one parent. Knows no entries.
 */
import { DecodeError } from '../../base/decode-error.ts';
import { type Dn, escapeNameValue, formatRdn, parseDn } from '../../ldap/dn.ts';
import { refuse } from '../refusal.ts';
import { decodeUtf8 } from '../schema/string-preparation.ts';
import type { AttributeType, RuleContext, Schema } from '../schema/schema.ts';

export interface NameValue {
  readonly type: AttributeType;
  readonly value: Buffer;
}

export interface Name {
  /** Undefined above a name of one RDN. */
  readonly parent: Name | undefined;
  readonly depth: number;
  readonly parts: readonly NameValue[];
  /** The leftmost RDN as it is shown. */
  readonly rdn: string;
  /** The leftmost RDN as it is compared: parts in order, values normalised, separators escaped. */
  readonly normalRdn: Buffer;
  /** Both are the same octets. */
  readonly rdnIsNormal: boolean;
}

const MOST_CACHED = 2048;
const LONGEST_CACHED = 1024;
/** Characters of values that need no care: no escape, quote, multi-valued RDN; a space only inside. */
const PLAIN = new Set(Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@-'));
const IS_PLAIN = Uint8Array.from({ length: 128 }, (_, code) => (PLAIN.has(code) ? 1 : 0));
const SPECIAL = /[\\+,\0]/;

export class NameReader implements RuleContext {
  readonly #schema: Schema;
  /** Names that have children, by their text; bounded and dropped as a whole. */
  readonly #parents = new Map<string, Name>();
  /** The last of these asked for: siblings come in rows. */
  #lastParent: { readonly text: string; readonly name: Name } | undefined;

  constructor(schema: Schema) {
    this.#schema = schema;
  }

  /** Undefined for the empty name (the root). Refuses with invalidDNSyntax. */
  read(text: string): Name | undefined {
    const comma = text.indexOf(',');
    if (comma < 0) return this.#parent(text);
    const equals = text.indexOf('=');
    // Behind a last comma stands no name, not even the empty one.
    const hasParent = comma < text.length - 1;
    if (hasParent && equals > 0 && equals < comma && isPlain(text, equals + 1, comma)) {
      const type = this.#schema.attributeType(text.slice(0, equals));
      if (type !== undefined)
        return this.#child(this.#parentAt(text, comma + 1), type, text.slice(equals + 1, comma));
    }
    return this.#readParsed(text);
  }

  /** As `read`, undefined for what isn't a name. */
  tryRead(text: string): Name | undefined {
    try {
      return this.read(text);
    } catch {
      return undefined;
    }
  }

  isDn(text: string): boolean {
    try {
      this.read(text);
      return true;
    } catch {
      return false;
    }
  }

  normalDn(value: Buffer): Buffer | undefined {
    const text = decodeUtf8(value);
    if (text === undefined) return undefined;
    try {
      return normalName(this.read(text));
    } catch {
      return undefined;
    }
  }

  oidOf(name: string): string | undefined {
    return this.#schema.oidOf(name);
  }

  #parentAt(text: string, start: number): Name | undefined {
    const last = this.#lastParent;
    if (last !== undefined && text.length - start === last.text.length && text.endsWith(last.text))
      return last.name;
    const parent = text.slice(start);
    const name = this.#parent(parent);
    if (name !== undefined && parent.length < LONGEST_CACHED) this.#lastParent = { text: parent, name };
    return name;
  }

  #parent(text: string): Name | undefined {
    const known = this.#parents.get(text);
    if (known !== undefined) return known;
    const name = this.#readParsed(text);
    if (name !== undefined && text.length < LONGEST_CACHED) {
      if (this.#parents.size >= MOST_CACHED) this.#parents.clear();
      this.#parents.set(text, name);
    }
    return name;
  }

  #child(parent: Name | undefined, type: AttributeType, text: string): Name {
    const value = Buffer.from(text, 'latin1');
    const parts = [{ type, value }];
    const rdn = `${type.name}=${text}`;
    if (type.equality?.isNormal?.(value, 0, value.length) !== true || !type.syntax.accepts(value, this))
      return this.#name(parent, parts, rdn);
    const normal = `${type.name.toLowerCase()}=${text}`;
    const normalRdn = Buffer.from(normal, 'latin1');
    return { parent, depth: (parent?.depth ?? 0) + 1, parts, rdn, normalRdn, rdnIsNormal: normal === rdn };
  }

  #readParsed(text: string): Name | undefined {
    let dn: Dn;
    try {
      dn = parseDn(text);
    } catch (error) {
      if (error instanceof DecodeError) refuse('invalidDNSyntax', error.message);
      throw error;
    }
    // Nothing but spaces is neither a name nor the empty one.
    if (dn.length === 0 && text !== '') refuse('invalidDNSyntax', 'expected an attribute type and =');
    let name: Name | undefined;
    for (let i = dn.length - 1; i >= 0; i--) {
      const parts = (dn[i] ?? []).map(({ type: typeName, value }): NameValue => {
        const type =
          this.#schema.attributeType(typeName) ??
          refuse('invalidDNSyntax', `attribute type ${typeName} is unknown`);
        return { type, value };
      });
      name = this.#name(name, parts, formatRdn(parts.map(({ type, value }) => ({ type: type.name, value }))));
    }
    return name;
  }

  #name(parent: Name | undefined, parts: readonly NameValue[], rdn: string): Name {
    const normalRdn = this.#normalRdn(parts, rdn);
    const depth = (parent?.depth ?? 0) + 1;
    return { parent, depth, parts, rdn, normalRdn, rdnIsNormal: normalRdn.equals(Buffer.from(rdn)) };
  }

  #normalRdn(parts: readonly NameValue[], rdn: string): Buffer {
    const normal = parts.map(({ type, value }) => {
      if (value.length === 0) refuse('invalidDNSyntax', `${type.name} has no value`);
      if (!type.syntax.accepts(value, this))
        refuse('invalidDNSyntax', `value of ${type.name} is not a ${type.syntax.description}`);
      const prepared = type.equality?.normalise(value, this) ?? value;
      const text = prepared.toString('latin1');
      return `${type.name.toLowerCase()}=${SPECIAL.test(text) ? text.replace(/[\\+,\0]/g, (c) => `\\${c.charCodeAt(0).toString(16).padStart(2, '0')}`) : text}`;
    });
    if (normal.length === 1) return Buffer.from(normal[0] as string, 'latin1');
    normal.sort();
    // X.501 §9.3, whose relative names RFC 4512 §2.3.1 has: each value of another type.
    const types = new Set(parts.map(({ type }) => type));
    if (types.size < parts.length) refuse('invalidDNSyntax', `${rdn} names an attribute type twice`);
    return Buffer.from(normal.join('+'), 'latin1');
  }
}

function isPlain(text: string, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x20 && at > start && at < end - 1) continue;
    if (code > 0x7f || IS_PLAIN[code] === 0) return false;
  }
  return end > start;
}

/** A whole name as it is compared; the empty buffer for the root. */
export function normalName(name: Name | undefined): Buffer {
  const parts: Buffer[] = [];
  for (let at = name; at !== undefined; at = at.parent) {
    if (parts.length > 0) parts.push(COMMA);
    parts.push(at.normalRdn);
  }
  return Buffer.concat(parts);
}

/** A whole name as it is shown. */
export function showName(name: Name | undefined): string {
  const parts: string[] = [];
  for (let at = name; at !== undefined; at = at.parent) parts.push(at.rdn);
  return parts.join(',');
}

/** `type=value` with the value escaped, for names made by us. */
export function rdnOf(type: string, value: string): string {
  return `${type}=${escapeNameValue(value)}`;
}

const COMMA = Buffer.from(',');
