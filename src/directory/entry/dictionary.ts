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

/** RFC 4522 §3: values are transferred as BER. No tagging option: it makes no subtype. */
const BINARY = 'binary';
/** RFC 3866 §2.1 */
const LANGUAGE_TAG = /^lang-[a-z0-9]+(?:-[a-z0-9]+)*$/;
/** RFC 3866 §2.2: `lang-en-` stands for `lang-en` and all below it, `lang-` for any; in questions only. */
const LANGUAGE_RANGE = /^lang-(?:[a-z0-9]+-)*$/;

interface SplitDescription {
  readonly name: string;
  readonly options: string[];
}

/**
 * Splits a description into type and canonical options; undefined when it is malformed or has an option that nobody knows, which
 * makes it a type that nobody knows (RFC 4512 §2.5.2).
 */
export function splitDescription(text: string, ranges = false): SplitDescription | undefined {
  if (!text.includes(';'))
    return text.length <= 512 && FORM.test(text) ? { name: text, options: [] } : undefined;
  const [name = '', ...given] = text.split(';');
  if (text.length > 512 || !FORM.test(name) || !given.every((option) => OPTION.test(option)))
    return undefined;
  const options = [...new Set(given.map((option) => option.toLowerCase()))].sort();
  const known = (option: string): boolean =>
    option === BINARY || LANGUAGE_TAG.test(option) || (ranges && LANGUAGE_RANGE.test(option));
  return options.every(known) ? { name, options } : undefined;
}

/** True when a stored option is the one asked for, or in the range asked for. */
export function optionCovers(asked: string, stored: readonly string[]): boolean {
  if (stored.includes(asked)) return true;
  if (!asked.endsWith('-')) return false;
  return stored.some((option) => option.startsWith(asked) || `${option}-` === asked);
}

/** Whether a type can have `;binary`; whoever writes values of some types must have it (RFC 4522 §3, RFC 4523). */
function binaryFits(type: AttributeType, options: readonly string[], mustHave: boolean): boolean {
  if (options.includes(BINARY)) return type.syntax.binary === true;
  return !mustHave || type.syntax.binary !== true;
}

/** Why a description cannot be written: for messages. */
export function descriptionProblem(schema: Schema, text: string): string {
  const [name = '', ...options] = text.split(';');
  const type = FORM.test(name) ? schema.attributeType(name) : undefined;
  if (type === undefined) return 'attribute type is unknown';
  if (splitDescription(text) === undefined) return 'option is unknown';
  if (
    binaryFits(
      type,
      options.map((option) => option.toLowerCase()),
      true,
    )
  )
    return 'too many descriptions in use';
  return type.syntax.binary === true
    ? 'values must be transferred with ;binary'
    : 'its values have no ;binary form';
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

  /** What `takeChanges` gave was not stored after all. */
  keepChanges(): void {
    this.#changed = true;
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

  /** As `find`, giving it a number when it has none. Undefined for what nobody may write (`descriptionProblem`), or a full table. */
  use(text: string): Descriptor | undefined {
    const spelled = this.#spellings.get(text);
    if (spelled !== undefined) return spelled;
    const canonical = this.#canonical(text, true);
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

  #canonical(text: string, toWrite = false): { text: string } | undefined {
    const parts = splitDescription(text);
    const type = parts === undefined ? undefined : this.#schema.attributeType(parts.name);
    return parts === undefined || type === undefined || !binaryFits(type, parts.options, toWrite)
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
