/**
 * The lines of LDIF (RFC 2849), record by record: unfolds, leaves out comments and the version, takes values apart. Streaming and bounded. Knows neither
 * content nor change records: `ldif.ts` and `ldif-change.ts` do.
 */
import { PosternError } from '../base/error.ts';

export interface LdifLimits {
  /** Longest logical line in bytes, folded lines joined. */
  readonly line: number;
  /** Most values a record. */
  readonly values: number;
}

export const LDIF_LIMITS: LdifLimits = { line: 4 << 20, values: 100_000 };

/** `attribute: value`, or the single `-` that ends a modification (its type is `-`, its value empty). */
export interface LdifField {
  readonly type: string;
  readonly value: Buffer;
  /** Line number (1-based) where it starts. */
  readonly line: number;
}

export interface LdifRaw {
  readonly dn: string;
  /** What follows the dn, in its order. */
  readonly fields: readonly LdifField[];
  /** Line number (1-based) where the record starts. */
  readonly line: number;
}

/** Takes bytes as they come and returns the records that became complete. Call `end()` after the last byte. Throws `decode` with the line. */
export class LdifLines {
  readonly #limits: LdifLimits;
  #rest: Buffer = Buffer.alloc(0);
  #logical = '';
  #logicalLine = 0;
  #lineNumber: number;
  #inComment = false;
  #lines: { text: string; line: number }[] = [];

  /** `firstLine`: number of the first line that comes, when it is not the first of its file. */
  constructor(limits: LdifLimits = LDIF_LIMITS, firstLine = 1) {
    this.#limits = limits;
    this.#lineNumber = firstLine - 1;
  }

  push(chunk: Buffer): LdifRaw[] {
    const data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const records: LdifRaw[] = [];
    let start = 0;
    for (let at = data.indexOf(10, start); at >= 0; at = data.indexOf(10, start)) {
      const end = at > start && data[at - 1] === 13 ? at - 1 : at;
      this.#physicalLine(data.toString('latin1', start, end), records);
      start = at + 1;
    }
    this.#rest = Buffer.from(data.subarray(start));
    // One more, since a carriage return at the end may not be of the line.
    if (this.#rest.length > this.#limits.line + 1) throw ldifError('line too long', this.#lineNumber + 1);
    return records;
  }

  end(): LdifRaw[] {
    const records: LdifRaw[] = [];
    if (this.#rest.length > 0) this.#physicalLine(this.#rest.toString('latin1').replace(/\r$/, ''), records);
    this.#rest = Buffer.alloc(0);
    this.#physicalLine('', records);
    return records;
  }

  /** Lines are kept as latin1, one character a byte: LDIF is octets. */
  #physicalLine(line: string, records: LdifRaw[]): void {
    this.#lineNumber++;
    if (line.length > this.#limits.line) throw ldifError('line too long', this.#lineNumber);
    if (line.startsWith(' ')) {
      if (this.#inComment) return;
      if (this.#logical === '') throw ldifError('continuation without a line before it', this.#lineNumber);
      this.#logical += line.slice(1);
      if (this.#logical.length > this.#limits.line) throw ldifError('line too long', this.#logicalLine);
      return;
    }
    this.#finishLogical();
    this.#inComment = line.startsWith('#');
    if (this.#inComment) return;
    if (line === '') {
      const record = this.#finishRecord();
      if (record !== undefined) records.push(record);
      return;
    }
    this.#logical = line;
    this.#logicalLine = this.#lineNumber;
  }

  #finishLogical(): void {
    if (this.#logical === '') return;
    this.#lines.push({ text: this.#logical, line: this.#logicalLine });
    this.#logical = '';
    if (this.#lines.length > this.#limits.values)
      throw ldifError('too many values in one record', this.#logicalLine);
  }

  #finishRecord(): LdifRaw | undefined {
    const lines = this.#lines;
    this.#lines = [];
    if (lines[0]?.text.match(/^version:/i)) lines.shift();
    const first = lines.shift();
    if (first === undefined) return undefined;
    const head = readField(first);
    if (head.type.toLowerCase() !== 'dn') throw ldifError('a record starts with "dn:"', first.line);
    const dn = ldifText(head.value, 'dn', first.line);
    return { dn, fields: lines.map(readField), line: first.line };
  }
}

function readField({ text, line }: { text: string; line: number }): LdifField {
  if (text === '-') return { type: '-', value: Buffer.alloc(0), line };
  const match = /^([A-Za-z0-9][A-Za-z0-9.;_-]*):([:<]?) *(.*)$/s.exec(text);
  if (match === null) throw ldifError('expected "attribute: value"', line);
  const [, type = '', mark, rest = ''] = match;
  if (mark === '<') throw ldifError('values from URLs are refused', line);
  if (mark === '') return { type, value: Buffer.from(rest, 'latin1'), line };
  const trimmed = rest.trimEnd();
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(trimmed) || trimmed.length % 4 !== 0)
    throw ldifError('broken base64', line);
  return { type, value: Buffer.from(trimmed, 'base64'), line };
}

/** A value that has to be text. */
export function ldifText(bytes: Buffer, what: string, line: number): string {
  const text = bytes.toString('utf8');
  if (text.includes('\ufffd') && !Buffer.from(text, 'utf8').equals(bytes))
    throw ldifError(`${what} is not UTF-8`, line);
  return text;
}

export function ldifError(message: string, line: number): PosternError {
  return new PosternError('decode', `LDIF line ${line}: ${message}`, {
    fields: { line },
    hint: 'see RFC 2849 for the format',
  });
}
