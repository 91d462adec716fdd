/** The error of every parser of a wire format: what was wrong, and where. Never carries the bytes themselves. */
import { PosternError } from './error.ts';

export class DecodeError extends PosternError {
  override readonly name: string = 'DecodeError';
  /** Bytes (characters, for text formats) from the start of what was decoded. */
  readonly offset: number;

  constructor(message: string, offset: number) {
    super('decode', message, { fields: { offset } });
    this.offset = offset;
  }
}
