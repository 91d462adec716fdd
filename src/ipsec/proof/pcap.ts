/** The capture format of libpcap (pcap-savefile(5)) as a stream: octets in, packets out. Bounded; the framing alone, nothing of what is in a packet. */
import { DecodeError } from '../../base/decode-error.ts';

export interface CapturedFrame {
  readonly link: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly bytes: Buffer;
}

/** Larger records are no packets of ours: the capture asks for the first octets only. */
const MOST_RECORD_BYTES = 262_144;

export class PcapReader {
  #rest: Buffer = Buffer.alloc(0);
  #big: boolean | undefined;
  #nano = false;
  #link = 0;
  #at = 0;

  /** Whole frames; what is incomplete waits for more. Throws `DecodeError`. */
  push(chunk: Buffer): CapturedFrame[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: CapturedFrame[] = [];
    if (this.#big === undefined && !this.#header()) return frames;
    for (;;) {
      if (this.#rest.length < 16) return frames;
      const length = this.#number(8);
      if (length > MOST_RECORD_BYTES) throw new DecodeError('a record of the capture is too large', this.#at);
      if (this.#rest.length < 16 + length) return frames;
      const at = this.#number(0) * 1000 + this.#number(4) / (this.#nano ? 1e6 : 1e3);
      frames.push({ link: this.#link, at, bytes: this.#rest.subarray(16, 16 + length) });
      this.#take(16 + length);
    }
  }

  #header(): boolean {
    if (this.#rest.length < 24) return false;
    const magic = this.#rest.readUInt32LE(0);
    const known: Readonly<Record<number, [big: boolean, nano: boolean]>> = {
      0xa1b2c3d4: [false, false],
      0xd4c3b2a1: [true, false],
      0xa1b23c4d: [false, true],
      0x4d3cb2a1: [true, true],
    };
    const found = known[magic];
    if (found === undefined) throw new DecodeError('not a capture', 0);
    [this.#big, this.#nano] = found;
    this.#link = this.#number(20) & 0x0fffffff;
    this.#take(24);
    return true;
  }

  #number(at: number): number {
    return this.#big === true ? this.#rest.readUInt32BE(at) : this.#rest.readUInt32LE(at);
  }

  #take(count: number): void {
    this.#rest = this.#rest.subarray(count);
    this.#at += count;
  }
}
