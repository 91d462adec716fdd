/**
 * Names as the directory compares them: the schema applied to RFC 4514. A `Name` shares its parents, so that a thousand
 * siblings cost one parent. Knows no entries.
 */
import { DecodeError } from '../../asn1/decode-error.ts';
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
}

const MOST_CACHED = 2048;
/** `name=value,parent` without anything that needs care: no escape, quote, multi-valued RDN, outer space. */
const PLAIN = /^([A-Za-z][A-Za-z0-9-]*)=([A-Za-z0-9._@-][A-Za-z0-9 ._@-]*[A-Za-z0-9._@-]|[A-Za-z0-9._@-])$/;
const SPECIAL = /[\\+,\0]/;

export class NameReader implements RuleContext {
  readonly #schema: Schema;
  /** Names that have children, by their text; bounded and dropped as a whole. */
  readonly #parents = new Map<string, Name>();

  constructor(schema: Schema) {
    this.#schema = schema;
  }

  /** Undefined for the empty name (the root). Refuses with invalidDNSyntax. */
  read(text: string): Name | undefined {
    const comma = text.indexOf(',');
    if (comma > 0 && text.charCodeAt(comma - 1) !== 0x5c) {
      const match = PLAIN.exec(text.slice(0, comma));
      const type = match === null ? undefined : this.#schema.attributeType(match[1] as string);
      if (match !== null && type !== undefined)
        return this.#child(this.#parent(text.slice(comma + 1)), type, match[2] as string);
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

  #parent(text: string): Name | undefined {
    const known = this.#parents.get(text);
    if (known !== undefined) return known;
    const name = this.#readParsed(text);
    if (name !== undefined && text.length < 1024) {
      if (this.#parents.size >= MOST_CACHED) this.#parents.clear();
      this.#parents.set(text, name);
    }
    return name;
  }

  #child(parent: Name | undefined, type: AttributeType, text: string): Name {
    const value = Buffer.from(text, 'latin1');
    return this.#name(parent, [{ type, value }], `${type.name}=${text}`);
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
    return { parent, depth: (parent?.depth ?? 0) + 1, parts, rdn, normalRdn: this.#normalRdn(parts, rdn) };
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
    if (normal.some((part, i) => part === normal[i - 1]))
      refuse('invalidDNSyntax', `${rdn} names a value twice`);
    return Buffer.from(normal.join('+'), 'latin1');
  }
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
