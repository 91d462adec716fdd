/** From results and errors to response messages. */
import { DecodeError } from '../../base/decode-error.ts';
import type { BerWriter } from '../../asn1/writer.ts';
import { encodeMessage } from '../../ldap/encode.ts';
import type { Control, LdapResult, Request, Response } from '../../ldap/message.ts';
import { Refusal, resultOf } from '../refusal.ts';

const NO_CONTROLS: readonly Control[] = [];

/** The response that ends a request; undefined for those without one. */
export function responseTo(op: Request['op'], result: LdapResult): Response | undefined {
  switch (op) {
    case 'bindRequest':
      return { op: 'bindResponse', result };
    case 'searchRequest':
      return { op: 'searchResultDone', result };
    case 'modifyRequest':
      return { op: 'modifyResponse', result };
    case 'addRequest':
      return { op: 'addResponse', result };
    case 'deleteRequest':
      return { op: 'deleteResponse', result };
    case 'modifyDnRequest':
      return { op: 'modifyDnResponse', result };
    case 'compareRequest':
      return { op: 'compareResponse', result };
    case 'extendedRequest':
      return { op: 'extendedResponse', result };
    case 'unbindRequest':
    case 'abandonRequest':
      return undefined;
  }
}

/** Octets of a plain response, `tag` being its operation's. Success, the most frequent answer, without building a message. */
export function writeSuccess(writer: BerWriter, messageId: number, tag: number): void {
  writer.header(0x30, (messageId < 0x80 ? 3 : messageId < 0x8000 ? 4 : messageId < 0x80_0000 ? 5 : 6) + 9);
  writer.integer(messageId);
  writer.header(tag, 7);
  writer.raw(SUCCESS_BODY);
}

/** resultCode success, empty matchedDN, empty diagnosticMessage. */
const SUCCESS_BODY = Buffer.from([0x0a, 1, 0, 4, 0, 4, 0]);

export function writeResponse(
  writer: BerWriter,
  messageId: number,
  operation: Response,
  controls: readonly Control[] = NO_CONTROLS,
): void {
  encodeMessage(writer, { messageId, operation, controls });
}

/** The result that an error means; undefined for errors that are nobody's request's fault. */
export function resultOfError(error: unknown): LdapResult | undefined {
  if (error instanceof Refusal) return error.result;
  if (error instanceof DecodeError) return resultOf('protocolError', error.message);
  return undefined;
}
