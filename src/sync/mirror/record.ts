/**
 * A source entry as the mirror keeps it: a recipient, or the mark that this GUID is none and why. Marks are needed so that counts stay
 * right over incremental changes, and so that an entry the source calls unchanged is known to be known. Pure.
 *
 *   GUID (16) || state (1) || dropped addresses (u16, only when DROPPED is set) || packed recipient (`recipient.ts`)
 */
import type { Mapped } from '../mapping/mapping.ts';
import { packRecipientInto } from '../recipient.ts';

export const GUID_BYTES = 16;
const DROPPED = 0x80;
const MOST_DROPPED = 0xffff;

/** Why an entry is no recipient; the place, counted from 1, is the state octet; 0 is a recipient. */
export const LEFT_OUT_REASONS = ['no-address', 'left-out', 'disabled'] as const;
export type LeftOutReason = (typeof LEFT_OUT_REASONS)[number];
/** The state of an entry that a present phase has named and nobody has delivered yet. */
export const UNDELIVERED = LEFT_OUT_REASONS.length + 1;

/** Numbers of entries and values, kept over restarts by counting the records. */
export interface MirrorCounts {
  /** All entries of the source, recipients or not. */
  readonly entries: number;
  readonly recipients: number;
  readonly leftOut: Readonly<Record<LeftOutReason, number>>;
  /** Values that are no addresses, of all entries. */
  readonly droppedAddresses: number;
}

/** 0 for a recipient, else 1 + the place of the reason. */
export function stateOf(buffer: Buffer, start: number): number {
  return (buffer[start + GUID_BYTES] as number) & ~DROPPED;
}

export function isRecipient(buffer: Buffer, start: number): boolean {
  return stateOf(buffer, start) === 0;
}

export function droppedOf(buffer: Buffer, start: number): number {
  return ((buffer[start + GUID_BYTES] as number) & DROPPED) === 0
    ? 0
    : buffer.readUInt16BE(start + GUID_BYTES + 1);
}

/** Where the packed recipient begins. */
export function packedStart(buffer: Buffer, start: number): number {
  return start + GUID_BYTES + (((buffer[start + GUID_BYTES] as number) & DROPPED) === 0 ? 1 : 3);
}

/** Makes records in one buffer of its own, so that an entry equal to what is stored costs no allocation. */
export class RecordWriter {
  buffer = Buffer.allocUnsafeSlow(4096);
  length = 0;

  /** The record of an entry, at `buffer[0..length)`. */
  write(guid: Buffer, mapped: Mapped): void {
    const state = mapped.recipient === undefined ? 1 + LEFT_OUT_REASONS.indexOf(mapped.reason) : 0;
    this.#head(guid, state, mapped.dropped);
    if (mapped.recipient === undefined) return;
    const packed = packRecipientInto(mapped.recipient, this.buffer, this.length);
    if (packed > 0) {
      this.length += packed;
      return;
    }
    const text = mapped.recipient.addresses.reduce((sum, address) => sum + Buffer.byteLength(address) + 1, 0);
    const larger = Buffer.allocUnsafeSlow(this.length + 1 + text);
    this.buffer.copy(larger, 0, 0, this.length);
    this.buffer = larger;
    this.length += packRecipientInto(mapped.recipient, larger, this.length);
  }

  /** The mark of an entry that is no recipient; `state` as `stateOf` gives it. */
  writeMark(guid: Uint8Array, state: number, dropped: number): void {
    this.#head(guid, state, dropped);
  }

  #head(guid: Uint8Array, state: number, dropped: number): void {
    this.buffer.set(guid);
    this.length = GUID_BYTES + 1;
    if (dropped === 0) {
      this.buffer[GUID_BYTES] = state;
      return;
    }
    this.buffer[GUID_BYTES] = state | DROPPED;
    this.buffer.writeUInt16BE(Math.min(dropped, MOST_DROPPED), this.length);
    this.length += 2;
  }
}

/** Counts that follow the records. */
export class RecordCounter implements MirrorCounts {
  entries = 0;
  recipients = 0;
  droppedAddresses = 0;
  /** Named and not delivered; not among `entries`. */
  undelivered = 0;
  readonly leftOut: Record<LeftOutReason, number> = { 'no-address': 0, 'left-out': 0, disabled: 0 };

  /** `sign`: 1 for a record that appears, -1 for one that goes. */
  count(buffer: Buffer, start: number, sign: 1 | -1): void {
    const state = stateOf(buffer, start);
    if (state === UNDELIVERED) {
      this.undelivered += sign;
      return;
    }
    this.entries += sign;
    this.droppedAddresses += sign * droppedOf(buffer, start);
    const reason = LEFT_OUT_REASONS[state - 1];
    if (state === 0) this.recipients += sign;
    else if (reason !== undefined) this.leftOut[reason] += sign;
  }
}
