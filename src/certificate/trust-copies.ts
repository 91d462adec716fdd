/** The two files of a trust store: reading, judging and replacing each. Knows nothing of schemas or of what is waiting to be written. */
import { join } from 'node:path';
import { describeError, PosternError } from '../base/error.ts';
import { type Files, replaceFile } from '../base/files.ts';
import { decodeTrustRecord, encodeTrustRecord, MOST_TRUST_BYTES, type TrustRecord } from './trust-record.ts';

export const COPIES = ['a', 'b'] as const;
export type Copy = (typeof COPIES)[number];

export interface RepairedCopy {
  /** File name. */
  readonly file: string;
  /** What was wrong with it. */
  readonly reason: string;
}

export interface FoundCopies {
  /** Usable ones, the newest first. */
  readonly valid: readonly { copy: Copy; record: TrustRecord }[];
  readonly damaged: readonly RepairedCopy[];
}

/** Errors that say nothing about the bytes on the disk, but that we are not the ones who may read them now. */
const NOT_OURS = new Set(['EACCES', 'EPERM', 'ELOOP', 'EISDIR', 'EMFILE', 'ENFILE']);

export class TrustCopies {
  readonly #files: Files;
  readonly folder: string;
  readonly name: string;

  constructor(files: Files, folder: string, name: string) {
    this.#files = files;
    this.folder = folder;
    this.name = name;
  }

  file(copy: Copy): string {
    return `${this.name}.${copy}`;
  }

  path(copy: Copy): string {
    return join(this.folder, this.file(copy));
  }

  async find(): Promise<FoundCopies> {
    await this.#files.makeFolder(this.folder);
    const valid: { copy: Copy; record: TrustRecord }[] = [];
    const damaged: RepairedCopy[] = [];
    for (const copy of COPIES) {
      const found = await this.read(copy);
      if (found instanceof PosternError)
        damaged.push({ file: this.file(copy), reason: describeError(found) });
      else if (found !== undefined) valid.push({ copy, record: found });
    }
    valid.sort((a, b) => b.record.sequence - a.record.sequence);
    return { valid, damaged };
  }

  /** The record; undefined when there is no such file; an error (returned) when it is damaged. Throws `file.unreadable` when it isn't ours to read. */
  async read(copy: Copy): Promise<TrustRecord | PosternError | undefined> {
    try {
      return decodeTrustRecord(this.name, await this.#readFile(this.path(copy)));
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      if (code === 'ENOENT') return undefined;
      if (typeof code !== 'string' || !NOT_OURS.has(code)) {
        return error instanceof PosternError
          ? error
          : new PosternError('trust.damaged', 'it cannot be read', { cause: error });
      }
      throw new PosternError('file.unreadable', `cannot read ${this.path(copy)}`, {
        cause: error,
        hint: "the trust store belongs to the daemon's user; start the daemon as that user",
        fields: { path: this.path(copy) },
      });
    }
  }

  async #readFile(path: string): Promise<Buffer> {
    const file = await this.#files.open(path, 'read');
    try {
      const size = await file.size();
      if (size > MOST_TRUST_BYTES) throw new PosternError('trust.damaged', 'it is too large');
      const bytes = Buffer.alloc(size);
      return bytes.subarray(0, await file.read(bytes, 0));
    } finally {
      await file.close();
    }
  }

  /** Replaces a copy, atomically and durably. */
  async write(copy: Copy, record: TrustRecord): Promise<void> {
    const bytes = encodeTrustRecord(this.name, record);
    try {
      await replaceFile(this.#files, this.path(copy), bytes);
    } finally {
      bytes.fill(0);
    }
  }
}
