/**
 * Cuts LDIF into pieces of whole records, so that a file of any length can be handed on piece by piece. Looks at empty lines only; what stands
 * between them is `ldif-lines.ts`'s.
 */
import { ldifError } from './ldif-lines.ts';

export interface LdifPiece {
  readonly bytes: Buffer;
  /** Number (1-based) of its first line, and of the first one after it. */
  readonly line: number;
  readonly nextLine: number;
  /** Bytes of the file up to its end. */
  readonly offset: number;
}

export interface CutLimits {
  /** A piece ends at the first empty line after this many bytes. */
  readonly bytes: number;
  /** ... or this many records. */
  readonly records: number;
  /** Longest record. */
  readonly record: number;
}

export const CUT_LIMITS: CutLimits = { bytes: 256 << 10, records: 250, record: 8 << 20 };

/** Takes bytes as they come and returns the pieces that became complete. Throws `decode` with the line where a record is too long. */
export class LdifCutter {
  readonly #limits: CutLimits;
  #parts: Buffer[] = [];
  #length = 0;
  #records = 0;
  #first = 1;
  #line = 1;
  #offset = 0;
  #recordBytes = 0;
  /** Bytes of the line that has begun, and whether all of them are carriage returns. */
  #lineBytes = 0;
  #blank = true;

  constructor(limits: CutLimits = CUT_LIMITS) {
    this.#limits = limits;
  }

  push(chunk: Buffer): LdifPiece[] {
    const pieces: LdifPiece[] = [];
    let from = 0;
    for (let start = 0; start < chunk.length; ) {
      const newline = chunk.indexOf(10, start);
      const end = newline < 0 ? chunk.length : newline;
      if (this.#blank && end > start)
        this.#blank = end - start === 1 && this.#lineBytes === 0 && chunk[start] === 13;
      this.#lineBytes += end - start;
      this.#recordBytes += end - start;
      if (this.#recordBytes > this.#limits.record) throw ldifError('record too long', this.#line);
      if (newline < 0) break;
      start = newline + 1;
      this.#line++;
      const isEmpty = this.#blank;
      this.#lineBytes = 0;
      this.#blank = true;
      if (!isEmpty) continue;
      this.#records++;
      this.#recordBytes = 0;
      const length = this.#length + start - from;
      if (length < this.#limits.bytes && this.#records < this.#limits.records) continue;
      this.#keep(chunk.subarray(from, start));
      from = start;
      pieces.push(this.#take());
    }
    if (from < chunk.length) this.#keep(Buffer.from(chunk.subarray(from)));
    return pieces;
  }

  end(): LdifPiece[] {
    return this.#length === 0 ? [] : [this.#take()];
  }

  #keep(part: Buffer): void {
    this.#parts.push(part);
    this.#length += part.length;
  }

  #take(): LdifPiece {
    this.#offset += this.#length;
    const bytes = Buffer.concat(this.#parts);
    const piece = { bytes, line: this.#first, nextLine: this.#line, offset: this.#offset };
    this.#parts = [];
    this.#length = 0;
    this.#records = 0;
    this.#first = this.#line;
    return piece;
  }
}
