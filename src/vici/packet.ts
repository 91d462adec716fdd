/** vici packets (strongSwan's "vici" README, packet layer): what kind, which command or event, and its message. Pure; knows no sockets. */
import { DecodeError } from '../base/decode-error.ts';
import {
  decodeMessage,
  encodeMessage,
  readText,
  tooLarge,
  type ViciSection,
  type ViciTree,
} from './message.ts';

/** A packet as it arrives. Requests are here too: tests and recordings read what we have sent. */
export type ViciPacket =
  | { readonly kind: 'request'; readonly name: string; readonly message: ViciSection }
  | { readonly kind: 'response'; readonly message: ViciSection }
  | { readonly kind: 'unknownCommand' }
  | { readonly kind: 'register'; readonly name: string }
  | { readonly kind: 'unregister'; readonly name: string }
  | { readonly kind: 'confirmed' }
  | { readonly kind: 'unknownEvent' }
  | { readonly kind: 'event'; readonly name: string; readonly message: ViciSection };

const KINDS = [
  'request',
  'response',
  'unknownCommand',
  'register',
  'unregister',
  'confirmed',
  'unknownEvent',
  'event',
] as const satisfies readonly ViciPacket['kind'][];

/** Of one packet, without the length before it: charon closes the connection beyond it. */
export const MOST_PACKET_BYTES = 512 * 1024;

/** `bytes` is one whole packet, without the length before it. Throws `DecodeError`. */
export function decodePacket(bytes: Buffer): ViciPacket {
  const code = bytes[0];
  if (code === undefined) throw new DecodeError('an empty packet', 0);
  const kind = KINDS[code];
  switch (kind) {
    case 'request':
    case 'event': {
      const { name, end } = packetName(bytes);
      return { kind, name, message: messageFrom(bytes, end) };
    }
    case 'register':
    case 'unregister': {
      const { name, end } = packetName(bytes);
      nothingFrom(bytes, end);
      return { kind, name };
    }
    case 'response':
      return { kind, message: messageFrom(bytes, 1) };
    case 'unknownCommand':
    case 'confirmed':
    case 'unknownEvent':
      nothingFrom(bytes, 1);
      return { kind };
    default:
      throw new DecodeError(`unknown type of packet ${code}`, 0);
  }
}

function packetName(bytes: Buffer): { name: string; end: number } {
  const length = bytes[1];
  if (length === undefined || 2 + length > bytes.length) throw new DecodeError('ends within a name', 1);
  return { name: readText(bytes.subarray(2, 2 + length)), end: 2 + length };
}

function messageFrom(bytes: Buffer, start: number): ViciSection {
  try {
    return decodeMessage(bytes.subarray(start));
  } catch (error) {
    if (error instanceof DecodeError) throw new DecodeError(error.message, start + error.offset);
    throw error;
  }
}

function nothingFrom(bytes: Buffer, start: number): void {
  if (bytes.length > start) throw new DecodeError('more bytes than the packet has', start);
}

export const encodeRequest = (name: string, message: ViciTree = {}): Buffer =>
  frame('request', name, encodeMessage(message));

export const encodeRegister = (event: string): Buffer => frame('register', event);

export const encodeUnregister = (event: string): Buffer => frame('unregister', event);

/** With the length before it. Throws `vici.too-large`. */
function frame(kind: (typeof KINDS)[number], name: string, message: Buffer = Buffer.alloc(0)): Buffer {
  const label = Buffer.from(name, 'utf8');
  const length = 2 + label.length + message.length;
  if (label.length > 0xff) throw tooLarge('a name', label.length, 0xff);
  if (length > MOST_PACKET_BYTES) throw tooLarge(`the request ${name}`, length, MOST_PACKET_BYTES);
  const head = Buffer.alloc(6);
  head.writeUInt32BE(length);
  head[4] = KINDS.indexOf(kind);
  head[5] = label.length;
  return Buffer.concat([head, label, message]);
}
