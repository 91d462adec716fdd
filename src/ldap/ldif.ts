/**
 * LDIF content records (RFC 2849): a streaming, bounded reader and a writer. Change records are refused by name (`ldif-change.ts` reads those).
 * Knows nothing of schema; values are octets.
 */
import {
  LDIF_LIMITS,
  ldifError,
  type LdifField,
  LdifLines,
  type LdifLimits,
  type LdifRaw,
} from './ldif-lines.ts';
import type { Attribute } from './message.ts';

export { LDIF_LIMITS, type LdifLimits } from './ldif-lines.ts';

export interface LdifRecord {
  readonly dn: string;
  readonly attributes: readonly Attribute[];
  /** Line number (1-based) where the record starts. */
  readonly line: number;
}

/** Takes bytes as they come and returns the records that became complete. Call `end()` after the last byte. */
export class LdifReader {
  readonly #lines: LdifLines;

  constructor(limits: LdifLimits = LDIF_LIMITS) {
    this.#lines = new LdifLines(limits);
  }

  push(chunk: Buffer): LdifRecord[] {
    return this.#lines.push(chunk).map(contentOf);
  }

  end(): LdifRecord[] {
    return this.#lines.end().map(contentOf);
  }
}

function contentOf({ dn, fields, line }: LdifRaw): LdifRecord {
  for (const { type, line: at } of fields)
    if (/^(changetype|control)$/i.test(type)) throw ldifError('change records are not content', at);
  return { dn, attributes: gatherAttributes(fields), line };
}

/** Values by attribute, each in the spelling and place of its first value. */
export function gatherAttributes(fields: readonly LdifField[]): Attribute[] {
  const byType = new Map<string, { type: string; values: Buffer[] }>();
  for (const { type, value, line } of fields) {
    if (type === '-') throw ldifError('expected "attribute: value"', line);
    const key = type.toLowerCase();
    const attribute = byType.get(key);
    if (attribute === undefined) byType.set(key, { type, values: [value] });
    else attribute.values.push(value);
  }
  return [...byType.values()];
}

/** One record as text, folded at 76 columns, ending in an empty line. With a change type it is a change record. */
export function formatLdif(dn: string, attributes: readonly Attribute[], changeType?: 'add'): string {
  const lines = [ldifLine('dn', Buffer.from(dn, 'utf8'))];
  if (changeType !== undefined) lines.push(`changetype: ${changeType}\n`);
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
