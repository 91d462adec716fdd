/** Values of standard extended operations both ways; our own are in `postern-extended.ts`. Decoders throw `DecodeError`. */
import { contextTag, TAG } from '../asn1/tag.ts';
import { encodeDer } from '../asn1/writer.ts';
import { decodeControls } from './decode-control.ts';
import { encodeControlList } from './encode-control.ts';
import { type DecodeLimits, SERVER_LIMITS } from './limits.ts';
import { MAX_INT } from './max-int.ts';
import type { Control } from './message.ts';
import { decodeValue } from './value.ts';

/** RFC 5805 §2.3 */
export interface EndTransactionRequest {
  readonly commit: boolean;
  readonly identifier: Buffer;
}

export function encodeEndTransactionRequest(value: EndTransactionRequest): Buffer {
  return encodeDer((writer) => {
    const mark = writer.open(TAG.sequence);
    if (!value.commit) writer.boolean(false);
    writer.octets(value.identifier);
    writer.close(mark);
  });
}

export function decodeEndTransactionRequest(value: Buffer | undefined): EndTransactionRequest {
  return decodeValue(value, (reader) => {
    const outer = reader.enter(TAG.sequence);
    const commit = reader.peek() === TAG.boolean ? reader.boolean() : true;
    const identifier = reader.octets();
    reader.skipRest(outer);
    return { commit, identifier };
  });
}

/** RFC 5805 §2.3: which update failed, or the response controls of the updates. */
export interface EndTransactionResponse {
  readonly failedMessageId?: number;
  readonly updatesControls: readonly { readonly messageId: number; readonly controls: readonly Control[] }[];
}

export function encodeEndTransactionResponse(value: EndTransactionResponse): Buffer {
  return encodeDer((writer) => {
    const mark = writer.open(TAG.sequence);
    if (value.failedMessageId !== undefined) writer.integer(value.failedMessageId);
    if (value.updatesControls.length > 0) {
      const list = writer.open(TAG.sequence);
      for (const update of value.updatesControls) {
        const one = writer.open(TAG.sequence);
        writer.integer(update.messageId);
        encodeControlList(writer, update.controls, TAG.sequence);
        writer.close(one);
      }
      writer.close(list);
    }
    writer.close(mark);
  });
}

export function decodeEndTransactionResponse(
  value: Buffer | undefined,
  limits: DecodeLimits = SERVER_LIMITS,
): EndTransactionResponse {
  return decodeValue(value, (reader) => {
    const outer = reader.enter(TAG.sequence);
    const failedMessageId = reader.peek() === TAG.integer ? reader.integer(0, MAX_INT) : undefined;
    const updatesControls: { messageId: number; controls: readonly Control[] }[] = [];
    if (reader.peek() === TAG.sequence) {
      const list = reader.enter(TAG.sequence);
      while (reader.more) {
        if (updatesControls.length >= limits.values) reader.fail('too many updates');
        const one = reader.enter(TAG.sequence);
        const messageId = reader.integer(0, MAX_INT);
        const controls = reader.enter(TAG.sequence);
        updatesControls.push({ messageId, controls: decodeControls(reader, limits) });
        reader.leave(controls);
        reader.skipRest(one);
      }
      reader.leave(list);
    }
    reader.skipRest(outer);
    return failedMessageId === undefined ? { updatesControls } : { failedMessageId, updatesControls };
  });
}

/** RFC 3062 §2. Passwords are octets; wrap them in `Secret` before keeping them. */
export interface PasswordModifyRequest {
  readonly userIdentity?: string;
  readonly oldPassword?: Buffer;
  readonly newPassword?: Buffer;
}

export function encodePasswordModifyRequest(value: PasswordModifyRequest): Buffer {
  return encodeDer((writer) => {
    const mark = writer.open(TAG.sequence);
    if (value.userIdentity !== undefined) writer.text(value.userIdentity, contextTag(0));
    if (value.oldPassword !== undefined) writer.octets(value.oldPassword, contextTag(1));
    if (value.newPassword !== undefined) writer.octets(value.newPassword, contextTag(2));
    writer.close(mark);
  });
}

/** A request without value asks for a new password of the bound user. */
export function decodePasswordModifyRequest(value: Buffer | undefined): PasswordModifyRequest {
  if (value === undefined) return {};
  return decodeValue(value, (reader) => {
    const outer = reader.enter(TAG.sequence);
    const userIdentity = reader.peek() === contextTag(0) ? reader.text(contextTag(0)) : undefined;
    const oldPassword = reader.peek() === contextTag(1) ? reader.octets(contextTag(1)) : undefined;
    const newPassword = reader.peek() === contextTag(2) ? reader.octets(contextTag(2)) : undefined;
    reader.skipRest(outer);
    return {
      ...(userIdentity !== undefined && { userIdentity }),
      ...(oldPassword !== undefined && { oldPassword }),
      ...(newPassword !== undefined && { newPassword }),
    };
  });
}

/** The generated password, when the server made one. */
export function encodePasswordModifyResponse(generated: Buffer | undefined): Buffer | undefined {
  if (generated === undefined) return undefined;
  return encodeDer((writer) => {
    const mark = writer.open(TAG.sequence);
    writer.octets(generated, contextTag(0));
    writer.close(mark);
  });
}

export function decodePasswordModifyResponse(value: Buffer | undefined): Buffer | undefined {
  if (value === undefined) return undefined;
  return decodeValue(value, (reader) => {
    const outer = reader.enter(TAG.sequence);
    const generated = reader.peek() === contextTag(0) ? reader.octets(contextTag(0)) : undefined;
    reader.skipRest(outer);
    return generated;
  });
}

/** RFC 3909 §2.1: the message id to cancel. */
export function encodeCancelRequest(messageId: number): Buffer {
  return encodeDer((writer) => {
    const mark = writer.open(TAG.sequence);
    writer.integer(messageId);
    writer.close(mark);
  });
}

export function decodeCancelRequest(value: Buffer | undefined): number {
  return decodeValue(value, (reader) => {
    const outer = reader.enter(TAG.sequence);
    const messageId = reader.integer(0, MAX_INT);
    reader.skipRest(outer);
    return messageId;
  });
}
