/**
 * The numbers that stand for attribute descriptions (type and options, RFC 4512 §2.5) and for names of creators in stored
 * entries. It only grows; its text is a named value of the store and is written in the batch that first uses a number.
 */
import { PosternError } from '../../base/error.ts';
import { encodeDer } from '../../asn1/writer.ts';
import type { AttributeType, Schema } from '../schema/schema.ts';
import { unknownAttributeType } from '../schema/schema.ts';

/** Descriptions and names have 16-bit numbers; far fewer are ever needed, and a client must not fill the table. */
const MOST_DESCRIPTIONS = 8192;
const MOST_NAMES = 60_000;

/** An attribute description as stored entries have it: canonical type name, options lower case and sorted. */
export interface Descriptor {
  readonly id: number;
  readonly text: string;
  readonly type: AttributeType;
  readonly options: readonly string[];
  /** The description as an OCTET STRING, ready to be sent. */
  readonly wire: Buffer;
}

const OPTION = /^[A-Za-z0-9-]{1,64}$/;
const FORM = /^(?:[A-Za-z][A-Za-z0-9-]*|(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+)$/;

/** Splits a description into type and canonical options; undefined when it is malformed (RFC 4512 §2.5). */
export function splitDescription(text: string): { name: string; options: string[] } | undefined {
  const [name = '', ...options] = text.split(';');
  if (text.length > 512 || !FORM.test(name) || !options.every((option) => OPTION.test(option)))
    return undefined;
  return { name, options: [...new Set(options.map((option) => option.toLowerCase()))].sort() };
}

interface Saved {
  readonly descriptions: readonly string[];
  readonly names: readonly string[];
}

function readSaved(bytes: Buffer): Saved {
  let saved: Partial<Saved>;
  try {
    saved = JSON.parse(bytes.toString('utf8')) as Partial<Saved>;
  } catch (error) {
    throw new PosternError('store.damaged', 'the dictionary of attributes is unreadable', { cause: error });
  }
  const { descriptions, names } = saved;
  if (!Array.isArray(descriptions) || !Array.isArray(names))
    throw new PosternError('store.damaged', 'the dictionary of attributes is incomplete');
  return { descriptions, names };
}

export class Dictionary {
  readonly #schema: Schema;
  readonly #descriptors: Descriptor[] = [];
  readonly #byText = new Map<string, Descriptor>();
  /** What clients wrote to what it means; bounded, since clients choose the spelling. */
  readonly #spellings = new Map<string, Descriptor>();
  readonly #names: string[] = [];
  readonly #byName = new Map<string, number>();
  readonly #unknown = new Map<string, AttributeType>();
  #changed = false;

  constructor(schema: Schema, saved: Buffer | undefined) {
    this.#schema = schema;
    if (saved === undefined) return;
    const { descriptions, names } = readSaved(saved);
    for (const text of descriptions) this.#add(text);
    for (const name of names) this.nameId(name);
    this.#changed = false;
  }

  /** The text to store when numbers were given since the last call; undefined otherwise. */
  takeChanges(): Buffer | undefined {
    if (!this.#changed) return undefined;
    this.#changed = false;
    return Buffer.from(
      JSON.stringify({ descriptions: this.#descriptors.map((d) => d.text), names: this.#names }),
    );
  }

  get size(): number {
    return this.#descriptors.length;
  }

  descriptor(id: number): Descriptor {
    const found = this.#descriptors[id];
    if (found === undefined)
      throw new PosternError('store.damaged', 'entry names an attribute that the dictionary lacks', {
        fields: { id },
      });
    return found;
  }

  all(): readonly Descriptor[] {
    return this.#descriptors;
  }

  /** The descriptor of what a client wrote, if stored entries could have it: undefined when nobody ever used it or it is no known type. */
  find(text: string): Descriptor | undefined {
    const spelled = this.#spellings.get(text);
    if (spelled !== undefined) return spelled;
    const canonical = this.#canonical(text);
    return canonical === undefined ? undefined : this.#byText.get(canonical.text);
  }

  /** As `find`, giving it a number when it has none. Undefined for an unknown type, a malformed description, or a full table. */
  use(text: string): Descriptor | undefined {
    const spelled = this.#spellings.get(text);
    if (spelled !== undefined) return spelled;
    const canonical = this.#canonical(text);
    if (canonical === undefined) return undefined;
    let found = this.#byText.get(canonical.text);
    if (found === undefined) {
      if (this.#descriptors.length >= MOST_DESCRIPTIONS) return undefined;
      found = this.#add(canonical.text);
    }
    if (this.#spellings.size < 4 * MOST_DESCRIPTIONS) this.#spellings.set(text, found);
    return found;
  }

  /** The number of a DN that stands in creatorsName or modifiersName. */
  nameId(name: string): number {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    if (this.#names.length >= MOST_NAMES) return 0;
    this.#changed = true;
    this.#byName.set(name, this.#names.length);
    return this.#names.push(name) - 1;
  }

  name(id: number): string {
    return this.#names[id] ?? '';
  }

  #canonical(text: string): { text: string } | undefined {
    const parts = splitDescription(text);
    const type = parts === undefined ? undefined : this.#schema.attributeType(parts.name);
    return parts === undefined || type === undefined
      ? undefined
      : { text: [type.name, ...parts.options].join(';') };
  }

  #add(text: string): Descriptor {
    const [name = '', ...options] = text.split(';');
    let type = this.#schema.attributeType(name) ?? this.#unknown.get(name);
    if (type === undefined) {
      type = unknownAttributeType(name, this.#schema.attributeTypes.length + this.#unknown.size);
      this.#unknown.set(name, type);
    }
    const descriptor: Descriptor = {
      id: this.#descriptors.length,
      text,
      type,
      options,
      wire: encodeDer((writer) => writer.text(text)),
    };
    this.#descriptors.push(descriptor);
    this.#byText.set(text, descriptor);
    this.#changed = true;
    return descriptor;
  }
}
