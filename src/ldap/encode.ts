/**
 * Messages to the wire, RFC 4511 §4.1.1: appended to a writer that the caller owns, so that a connection encodes many
 * messages into one chunk. Operations are in `encode-request.ts` and `encode-response.ts`.
 */
import { TAG } from '../asn1/tag.ts';
import { BerWriter } from '../asn1/writer.ts';
import { encodeControls } from './encode-control.ts';
import { encodeSearchResultEntry } from './encode-entry.ts';
import { encodeRequest } from './encode-request.ts';
import { encodeResponse } from './encode-response.ts';
import type { Message, Request } from './message.ts';

/** Appends one message. Throws `usage` for a number that isn't an integer; nothing is appended then. */
export function encodeMessage(writer: BerWriter, message: Message): void {
  const start = writer.length;
  try {
    append(writer, message);
  } catch (error) {
    writer.rewind(start);
    throw error;
  }
}

/** A request whose `[0] Controls` are encoded already (`encodedControls`). Throws as `encodeMessage`. */
export function encodeRequestWith(
  writer: BerWriter,
  messageId: number,
  operation: Request,
  controls: Uint8Array,
): void {
  const start = writer.length;
  try {
    const mark = writer.open(TAG.sequence);
    writer.integer(messageId);
    encodeRequest(writer, operation);
    writer.raw(controls);
    writer.close(mark);
  } catch (error) {
    writer.rewind(start);
    throw error;
  }
}

function append(writer: BerWriter, { messageId, operation, controls }: Message): void {
  if (operation.op === 'searchResultEntry') {
    encodeSearchResultEntry(writer, messageId, operation.dn, operation.attributes, controls);
    return;
  }
  const mark = writer.open(TAG.sequence);
  writer.integer(messageId);
  if (!encodeRequest(writer, operation)) encodeResponse(writer, operation);
  encodeControls(writer, controls);
  writer.close(mark);
}

/** One message in a buffer of its own. */
export function encodeBytes(message: Message): Buffer {
  const writer = new BerWriter(512);
  encodeMessage(writer, message);
  return writer.toBuffer();
}
