/** A recipient: what of a source entry crosses to an edge, and its forms in the mirror and on the edge. Pure. */
import type { ContentAttribute } from './content-digest.ts';

export const RECIPIENT_KINDS = [
  'user',
  'group',
  'contact',
  'sharedMailbox',
  'resource',
  'publicFolder',
] as const;
export type RecipientKind = (typeof RECIPIENT_KINDS)[number];

export interface Recipient {
  readonly kind: RecipientKind;
  /** Canonical addresses (see `directory/address`), without repetition, in byte order. Never empty. */
  readonly addresses: readonly string[];
}

/** kind (1 byte) || addresses separated by NUL, which no address contains. The hub's mirror keeps this. */
export function packRecipient(recipient: Recipient): Buffer {
  return Buffer.concat([
    Buffer.from([RECIPIENT_KINDS.indexOf(recipient.kind)]),
    Buffer.from(recipient.addresses.join('\0'), 'utf8'),
  ]);
}

/** The same into `buffer` from `at` on; returns how many bytes were written, 0 when they may not fit. */
export function packRecipientInto(recipient: Recipient, buffer: Buffer, at: number): number {
  const { addresses } = recipient;
  const text = addresses.length === 1 ? (addresses[0] as string) : addresses.join('\0');
  const room = buffer.length - at - 1;
  // A code unit takes at most three octets.
  if (room < text.length * 3 && room < Buffer.byteLength(text)) return 0;
  buffer[at] = RECIPIENT_KINDS.indexOf(recipient.kind);
  return 1 + buffer.write(text, at + 1, 'utf8');
}

export function unpackRecipient(bytes: Buffer): Recipient {
  return { kind: RECIPIENT_KINDS[bytes[0] ?? 0] ?? 'user', addresses: bytes.toString('utf8', 1).split('\0') };
}

const KIND_ATTRIBUTES = Object.fromEntries(
  RECIPIENT_KINDS.map((kind) => [kind, { type: 'posternRecipientKind', values: [Buffer.from(kind)] }]),
) as unknown as Readonly<Record<RecipientKind, ContentAttribute>>;

/** The attributes an edge stores: addresses only as hashes made with that edge's key. */
export function edgeAttributes(recipient: Recipient, hash: (address: string) => Buffer): ContentAttribute[] {
  return [{ type: 'posternAddress', values: recipient.addresses.map(hash) }, KIND_ATTRIBUTES[recipient.kind]];
}

/** Lower-case UUID text of a 16-byte GUID. */
export function guidText(guid: Buffer): string {
  writeGuid(guid);
  return DN.toString('latin1', GUID_AT, GUID_END);
}

/** The name of a recipient on an edge. */
export function recipientDn(guid: Buffer): string {
  writeGuid(guid);
  return DN.toString('latin1');
}

/** Put together octet by octet, for a million of them: one string is made instead of twelve. */
const DN = Buffer.from('cn=00000000-0000-0000-0000-000000000000,cn=Recipients');
const GUID_AT = 3;
const GUID_END = GUID_AT + 36;
const DIGITS = Buffer.from('0123456789abcdef');

function writeGuid(guid: Buffer): void {
  let at = GUID_AT;
  for (let i = 0; i < 16; i++) {
    const octet = guid[i] as number;
    if (i === 4 || i === 6 || i === 8 || i === 10) at++;
    DN[at++] = DIGITS[octet >> 4] as number;
    DN[at++] = DIGITS[octet & 15] as number;
  }
}

/** The 16 bytes of a UUID in text form, or undefined. */
export function guidBytes(text: string): Buffer | undefined {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)
    ? Buffer.from(text.replaceAll('-', ''), 'hex')
    : undefined;
}
