/**
 * One whole message (a `Frame`) to data, RFC 4511 §4.1.1. Structure only; operations are in `decode-request.ts` and
 * `decode-response.ts`. Buffers in the result are views of the frame. Elements that later versions may put at the end of
 * a SEQUENCE are passed over (RFC 4511 §4). Any other failure is a `DecodeError`.
 */
import { DecodeError } from '../base/decode-error.ts';
import { BerReader } from '../asn1/reader.ts';
import { contextConstructed, TAG } from '../asn1/tag.ts';
import { decodeControls } from './decode-control.ts';
import { decodeRequest } from './decode-request.ts';
import { decodeResponse } from './decode-response.ts';
import type { Frame } from './framer.ts';
import { type DecodeLimits, SERVER_LIMITS } from './limits.ts';
import type { Control, Message } from './message.ts';
import { operationOfTag } from './operation-tag.ts';
import { MAX_INT } from './max-int.ts';

const CONTROLS = contextConstructed(0);
const NO_CONTROLS: readonly Control[] = [];

/** A message's envelope, for those who decode the operation in place. Offsets are into the frame's buffer. */
export interface MessagePeek {
  readonly messageId: number;
  /** Identifier octet of the operation, one of `OPERATION_TAG`. */
  readonly tag: number;
  /** Content octets of the operation. */
  readonly bodyStart: number;
  readonly bodyEnd: number;
  /** Content octets of the controls; both equal the frame's end when there are none. */
  readonly controlsStart: number;
  readonly controlsEnd: number;
}

/**
 * Reads only the envelope. When this throws, no answer to the message is possible and the session has to end
 * (RFC 4511 §4.1.1); when only `decodeMessage` throws, the answer is protocolError.
 */
export function peekMessage(frame: Frame): MessagePeek {
  const reader = new BerReader(frame.buffer, frame.start, frame.end);
  reader.enter(TAG.sequence);
  const messageId = reader.integer(0, MAX_INT);
  const tag = operationTag(reader);
  const bodyEnd = reader.header(tag);
  const bodyStart = reader.position;
  reader.position = bodyEnd;
  let controlsStart = frame.end;
  let controlsEnd = frame.end;
  if (reader.peek() === CONTROLS) {
    controlsEnd = reader.header(CONTROLS);
    controlsStart = reader.position;
  }
  return { messageId, tag, bodyStart, bodyEnd, controlsStart, controlsEnd };
}

/** Controls of a message that was peeked at. */
export function decodeControlsAt(
  frame: Frame,
  peek: MessagePeek,
  limits: DecodeLimits = SERVER_LIMITS,
): readonly Control[] {
  if (peek.controlsStart === peek.controlsEnd) return NO_CONTROLS;
  return decodeControls(new BerReader(frame.buffer, peek.controlsStart, peek.controlsEnd), limits);
}

export function decodeMessage(frame: Frame, limits: DecodeLimits = SERVER_LIMITS): Message {
  const reader = new BerReader(frame.buffer, frame.start, frame.end, { maxDepth: limits.depth });
  const outer = reader.enter(TAG.sequence);
  const messageId = reader.integer(0, MAX_INT);
  const tag = operationTag(reader);
  const operation =
    decodeRequest(reader, tag, limits) ??
    decodeResponse(reader, tag, limits) ??
    reader.fail('unknown operation');
  let controls = NO_CONTROLS;
  if (reader.peek() === CONTROLS) {
    const message = reader.enter(CONTROLS);
    controls = decodeControls(reader, limits);
    reader.leave(message);
  }
  reader.skipRest(outer);
  reader.finish();
  return { messageId, operation, controls };
}

/** Decodes a message that fills `bytes`; for tests and tools. */
export function decodeBytes(bytes: Buffer, limits?: DecodeLimits): Message {
  return decodeMessage({ buffer: bytes, start: 0, end: bytes.length }, limits);
}

function operationTag(reader: BerReader): number {
  const tag = reader.peek();
  if (operationOfTag(tag) === undefined) throw new DecodeError('unknown operation', reader.position);
  return tag;
}
