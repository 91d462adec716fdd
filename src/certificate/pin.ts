/**
 * Pins: the SHA-256 of a certificate's SubjectPublicKeyInfo, byte for byte as it stands in the certificate (RFC 7469 §2.4).
 * A pin names a key, not a certificate: what else the certificate says is not covered by it.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { PosternError } from '../base/error.ts';

/** Canonical text: base64 of 32 bytes, 44 characters. */
export type Pin = string & { readonly pin: unique symbol };

/** The pins a peer may show. `next` is the announced successor: both count during a rollover. */
export interface PinSet {
  readonly current: Pin;
  readonly next?: Pin | undefined;
}

export const pinSchema = z.string().refine(isPin, 'not a pin (base64 of SHA-256)') as unknown as z.ZodType<
  Pin,
  Pin
>;

export function pinOfSpki(spki: Uint8Array): Pin {
  return createHash('sha256').update(spki).digest('base64') as Pin;
}

export function pinFromBytes(bytes: Uint8Array): Pin {
  if (bytes.length !== 32) throw new PosternError('decode', 'a pin has 32 bytes');
  return Buffer.from(bytes).toString('base64') as Pin;
}

export function pinBytes(pin: Pin): Buffer {
  return Buffer.from(pin, 'base64');
}

/** True for the canonical text form only. */
export function isPin(text: string): text is Pin {
  return /^[A-Za-z0-9+/]{43}=$/.test(text) && Buffer.from(text, 'base64').toString('base64') === text;
}

/**
 * Reads what people type or paste: base64, `sha256//` base64 (curl's form), or 64 hexadecimal digits with spaces, colons or dashes
 * between them. Throws `usage`.
 */
export function parsePin(text: string): Pin {
  const bare = text.trim().replace(/^sha256(?:\/\/|:)/i, '');
  if (isPin(bare)) return bare;
  const digits = bare.replace(/[\s:.-]/g, '');
  if (/^[0-9a-f]{64}$/i.test(digits)) return pinFromBytes(Buffer.from(digits, 'hex'));
  throw new PosternError('usage', 'not a fingerprint', {
    hint: 'give the 64 hexadecimal digits, in groups or not, or the 44 characters of base64',
  });
}

/** For reading aloud: 64 hexadecimal digits in 16 groups of four. */
export function formatFingerprint(pin: Pin): string {
  return (pinBytes(pin).toString('hex').match(/.{4}/g) ?? []).join(' ');
}

/** The same in four lines of four groups, for a terminal. */
export function fingerprintLines(pin: Pin): string[] {
  return (pinBytes(pin).toString('hex').match(/.{16}/g) ?? []).map((line) =>
    (line.match(/.{4}/g) ?? []).join(' '),
  );
}

/** Compares in constant time. */
export function samePin(a: Pin, b: Pin): boolean {
  const [left, right] = [pinBytes(a), pinBytes(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** Which pin of the set it is. Both are looked at in any case. */
export function matchPin(set: PinSet, pin: Pin): 'current' | 'next' | undefined {
  const current = samePin(set.current, pin);
  const next = set.next !== undefined && samePin(set.next, pin);
  return current ? 'current' : next ? 'next' : undefined;
}

/** Throws `pin.mismatch`, with both fingerprints, unless `pin` is in the set. */
export function requirePin(set: PinSet, pin: Pin, peer: string): 'current' | 'next' {
  const match = matchPin(set, pin);
  if (match !== undefined) return match;
  throw new PosternError('pin.mismatch', `${peer} showed another key than the one that is trusted`, {
    hint: 'somebody may be in the middle; if the node was set up anew, remove its subscription and subscribe again',
    fields: { peer, expected: formatFingerprint(set.current), found: formatFingerprint(pin) },
  });
}
