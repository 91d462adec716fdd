/**
 * LDIF content records (RFC 2849): a streaming, bounded reader and a writer. Change records are refused by name.
 * Knows nothing of schema; values are octets.
 */
import { PosternError } from '../base/error.ts';
import type { Attribute } from './message.ts';

export interface LdifRecord {
  readonly dn: string;
  readonly attributes: readonly Attribute[];
  /** Line number (1-based) where the record starts. */
  readonly line: number;
}

export interface LdifLimits {
  /** Longest logical line in bytes, folded lines joined. */
  readonly line: number;
  /** Most values a record. */
  readonly values: number;
}

export const LDIF_LIMITS: LdifLimits = { line: 4 << 20, values: 100_000 };

/** Takes bytes as they come and returns the records that became complete. Call `end()` after the last byte. */
export class LdifReader {
  readonly #limits: LdifLimits;
  #rest: Buffer = Buffer.alloc(0);
  #logical = '';
  #logicalLine = 0;
  #lineNumber = 0;
  #inComment = false;
  #lines: { text: string; line: number }[] = [];

  constructor(limits: LdifLimits = LDIF_LIMITS) {
    this.#limits = limits;
  }

  push(chunk: Buffer): LdifRecord[] {
    const data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const records: LdifRecord[] = [];
    let start = 0;
    for (let at = data.indexOf(10, start); at >= 0; at = data.indexOf(10, start)) {
      const end = at > start && data[at - 1] === 13 ? at - 1 : at;
      this.#physicalLine(data.toString('latin1', start, end), records);
      start = at + 1;
    }
    this.#rest = Buffer.from(data.subarray(start));
    if (this.#rest.length > this.#limits.line) throw this.#error('line too long', this.#lineNumber + 1);
    return records;
  }

  end(): LdifRecord[] {
    const records: LdifRecord[] = [];
    if (this.#rest.length > 0) this.#physicalLine(this.#rest.toString('latin1').replace(/\r$/, ''), records);
    this.#rest = Buffer.alloc(0);
    this.#physicalLine('', records);
    return records;
  }

  /** Lines are kept as latin1, one character a byte: LDIF is octets. */
  #physicalLine(line: string, records: LdifRecord[]): void {
    this.#lineNumber++;
    if (line.startsWith(' ')) {
      if (this.#inComment) return;
      if (this.#logical === '') throw this.#error('continuation without a line before it', this.#lineNumber);
      this.#logical += line.slice(1);
      if (this.#logical.length > this.#limits.line) throw this.#error('line too long', this.#logicalLine);
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
      throw this.#error('too many values in one record', this.#logicalLine);
  }

  #finishRecord(): LdifRecord | undefined {
    const lines = this.#lines;
    this.#lines = [];
    if (lines[0]?.text.match(/^version:/i)) lines.shift();
    const first = lines.shift();
    if (first === undefined) return undefined;
    const head = this.#value(first);
    if (head.type.toLowerCase() !== 'dn') throw this.#error('a record starts with "dn:"', first.line);
    const byType = new Map<string, { type: string; values: Buffer[] }>();
    for (const line of lines) {
      const { type, value } = this.#value(line);
      const key = type.toLowerCase();
      if (key === 'changetype' || key === 'control')
        throw this.#error('change records are not content', line.line);
      const attribute = byType.get(key);
      if (attribute === undefined) byType.set(key, { type, values: [value] });
      else attribute.values.push(value);
    }
    return {
      dn: decodeUtf8(head.value, () => this.#error('dn is not UTF-8', first.line)),
      attributes: [...byType.values()],
      line: first.line,
    };
  }

  #value({ text, line }: { text: string; line: number }): { type: string; value: Buffer } {
    const match = /^([A-Za-z0-9][A-Za-z0-9.;_-]*):([:<]?) *(.*)$/s.exec(text);
    if (match === null) throw this.#error('expected "attribute: value"', line);
    const [, type = '', mark, rest = ''] = match;
    if (mark === '<') throw this.#error('values from URLs are refused', line);
    if (mark === '') return { type, value: Buffer.from(rest, 'latin1') };
    const trimmed = rest.trimEnd();
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(trimmed) || trimmed.length % 4 !== 0)
      throw this.#error('broken base64', line);
    return { type, value: Buffer.from(trimmed, 'base64') };
  }

  #error(message: string, line: number): PosternError {
    return new PosternError('decode', `LDIF line ${line}: ${message}`, {
      fields: { line },
      hint: 'see RFC 2849 for the format',
    });
  }
}

/** One record as text, folded at 76 columns, ending in an empty line. */
export function formatLdif(dn: string, attributes: readonly Attribute[]): string {
  const lines = [ldifLine('dn', Buffer.from(dn, 'utf8'))];
  for (const { type, values } of attributes) for (const value of values) lines.push(ldifLine(type, value));
  return `${lines.join('')}\n`;
}

function ldifLine(type: string, value: Buffer): string {
  const line = isSafe(value)
    ? `${type}:${value.length > 0 ? ' ' : ''}${value.toString('latin1')}`
    : `${type}:: ${value.toString('base64')}`;
  if (line.length <= 76) return `${line}\n`;
  const parts = [line.slice(0, 76)];
  for (let at = 76; at < line.length; at += 75) parts.push(` ${line.slice(at, at + 75)}`);
  return `${parts.join('\n')}\n`;
}

/** RFC 2849 SAFE-STRING, and no trailing space (its note 8). */
function isSafe(value: Buffer): boolean {
  const first = value[0];
  if (first === 32 || first === 58 || first === 60 || value.at(-1) === 32) return false;
  return value.every((byte) => byte < 128 && byte !== 0 && byte !== 10 && byte !== 13);
}

function decodeUtf8(bytes: Buffer, fail: () => Error): string {
  const text = bytes.toString('utf8');
  if (text.includes('\ufffd') && !Buffer.from(text, 'utf8').equals(bytes)) throw fail();
  return text;
}
