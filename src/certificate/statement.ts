/**
 * Signed statements: what a node claims beyond its key, signed by that key, and verified before use.
 *
 *   SignedStatement ::= SEQUENCE { content OCTET STRING (DER of Content), issuerKey OCTET STRING (SubjectPublicKeyInfo), signature OCTET STRING }
 *   Content ::= SEQUENCE { kind ENUMERATED, subject UTF8String, issuer OCTET STRING (SIZE 32), issuedAt INTEGER (ms since 1970), body OCTET STRING }
 *
 * The signature covers "postern statement v1", a zero byte, and the exact octets of `content`. `issuerKey` isn't signed: it must hash to a pin that
 * is trusted already and to `issuer`, so a pin is all that a reader needs to know.
 */
import { createPublicKey } from 'node:crypto';
import { BerReader } from '../asn1/reader.ts';
import { TAG } from '../asn1/tag.ts';
import { encodeDer } from '../asn1/writer.ts';
import { PosternError } from '../base/error.ts';
import type { Identity } from './identity.ts';
import { MOST_CERTIFICATE_BYTES, parseCertificate } from './parse.ts';
import { type Pin, pinBytes, pinFromBytes, pinOfSpki, samePin } from './pin.ts';
import { signBytes, verifyBytes } from './signature.ts';

export type Role = 'hub' | 'edge';

/** What can be stated. */
export type Claim =
  /** The subject, who is the issuer, opens what is sealed to this X25519 key. */
  | { readonly kind: 'sealingKey'; readonly publicKey: Buffer }
  /** The subject, who is the issuer, will show this certificate. The next key has signed as well (proof of possession). */
  | { readonly kind: 'nextCertificate'; readonly certificate: Buffer; readonly pin: Pin }
  /** The issuer endorses the subject: it holds this pin and has this role. */
  | { readonly kind: 'membership'; readonly pin: Pin; readonly role: Role }
  /** The issuer takes back what it, or another, said of this pin before. */
  | { readonly kind: 'removal'; readonly pin: Pin };

export interface Statement {
  readonly claim: Claim;
  /** Name of the node that the claim is about: a host name or a directory name. */
  readonly subject: string;
  readonly issuer: Pin;
  /** Milliseconds since 1970, by the issuer's clock. Of two statements of a kind the later one counts: keep the latest time seen. */
  readonly issuedAt: number;
}

const DOMAIN = 'postern statement v1';
const POSSESSION_DOMAIN = 'postern next key v1';
const KINDS = ['sealingKey', 'nextCertificate', 'membership', 'removal'] as const;
const ROLES: readonly Role[] = ['hub', 'edge'];

/** Certificate, issuer's key, two signatures and the rest. */
export const MOST_STATEMENT_BYTES = MOST_CERTIFICATE_BYTES + 4096;
const NAME = /^[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/;

export interface StateOptions {
  subject: string;
  issuedAt: number;
}

export function stateSealingKey(issuer: Identity, publicKey: Uint8Array, options: StateOptions): Buffer {
  if (publicKey.length !== 32) throw new PosternError('internal', 'an X25519 public key has 32 bytes');
  return sign(
    issuer,
    'sealingKey',
    encodeDer((writer) => writer.octets(publicKey)),
    options,
  );
}

export function stateNextCertificate(issuer: Identity, next: Identity, options: StateOptions): Buffer {
  const { der } = next.certificate;
  const body = encodeDer((writer) => {
    const outer = writer.open(TAG.sequence);
    writer.octets(der);
    writer.octets(signBytes(next.key, POSSESSION_DOMAIN, possession(issuer.pin, der)));
    writer.close(outer);
  });
  return sign(issuer, 'nextCertificate', body, options);
}

export function stateMembership(
  issuer: Identity,
  member: { pin: Pin; role: Role },
  options: StateOptions,
): Buffer {
  const body = encodeDer((writer) => {
    const outer = writer.open(TAG.sequence);
    writer.octets(pinBytes(member.pin));
    writer.enumerated(ROLES.indexOf(member.role));
    writer.close(outer);
  });
  return sign(issuer, 'membership', body, options);
}

export function stateRemoval(issuer: Identity, pin: Pin, options: StateOptions): Buffer {
  return sign(
    issuer,
    'removal',
    encodeDer((writer) => writer.octets(pinBytes(pin))),
    options,
  );
}

function sign(issuer: Identity, kind: Claim['kind'], body: Buffer, options: StateOptions): Buffer {
  if (!NAME.test(options.subject))
    throw new PosternError('usage', `not a name for a statement: "${options.subject.slice(0, 80)}"`);
  const content = encodeDer((writer) => {
    const outer = writer.open(TAG.sequence);
    writer.enumerated(KINDS.indexOf(kind));
    writer.utf8String(options.subject);
    writer.octets(pinBytes(issuer.pin));
    writer.integer(options.issuedAt);
    writer.octets(body);
    writer.close(outer);
  });
  return encodeDer((writer) => {
    const outer = writer.open(TAG.sequence);
    writer.octets(content);
    writer.octets(issuer.certificate.spki);
    writer.octets(signBytes(issuer.key, DOMAIN, content));
    writer.close(outer);
  });
}

/**
 * Verifies a statement and returns what it says. `trusted`: pins of which one must be the issuer's.
 * Throws `statement.invalid` for everything else: malformed, unknown kind, another issuer, a signature that doesn't fit.
 */
export function verifyStatement(bytes: Uint8Array, trusted: Pin | readonly Pin[]): Statement {
  try {
    return verify(Buffer.from(bytes), typeof trusted === 'string' ? [trusted] : trusted);
  } catch (error) {
    throw new PosternError('statement.invalid', 'a signed statement is not valid', {
      cause: error,
      hint: 'the directory that carried it, or the node that issued it, altered it; it is ignored',
    });
  }
}

/** Verifies a statement and requires one kind of claim about one subject. */
export function verifyClaim<K extends Claim['kind']>(
  bytes: Uint8Array,
  trusted: Pin | readonly Pin[],
  kind: K,
  subject: string,
): Statement & { claim: Extract<Claim, { kind: K }> } {
  const statement = verifyStatement(bytes, trusted);
  if (statement.claim.kind !== kind || statement.subject !== subject) {
    throw new PosternError('statement.invalid', `expected a ${kind} statement about ${subject}`, {
      fields: { kind: statement.claim.kind, subject: statement.subject },
    });
  }
  return statement as Statement & { claim: Extract<Claim, { kind: K }> };
}

/**
 * Who seems to have issued a statement, without any proof: for finding the trusted pin to verify it against, and for nothing else.
 * Throws `statement.invalid`.
 */
export function claimedIssuer(bytes: Uint8Array): Pin {
  try {
    return pinOfSpki(open(Buffer.from(bytes)).issuerKey);
  } catch (error) {
    throw new PosternError('statement.invalid', 'a signed statement cannot be read', { cause: error });
  }
}

function open(bytes: Buffer): { content: Buffer; issuerKey: Buffer; signature: Buffer } {
  if (bytes.length > MOST_STATEMENT_BYTES) throw new PosternError('decode', 'the statement is too large');
  const reader = new BerReader(bytes, 0, bytes.length, { der: true });
  const outer = reader.enter(TAG.sequence);
  const parts = { content: reader.octets(), issuerKey: reader.octets(), signature: reader.octets() };
  reader.leave(outer);
  reader.finish();
  return parts;
}

/** Nothing of the content is looked at before pin and signature are proved. */
function verify(bytes: Buffer, trusted: readonly Pin[]): Statement {
  const { content, issuerKey, signature } = open(bytes);
  const pin = pinOfSpki(issuerKey);
  if (trusted.filter((one) => samePin(one, pin)).length === 0) {
    throw new PosternError('pin.mismatch', 'the issuer is not one that is trusted');
  }
  const publicKey = createPublicKey({ key: issuerKey, format: 'der', type: 'spki' });
  if (!verifyBytes(publicKey, DOMAIN, content, signature))
    throw new PosternError('statement.invalid', 'the signature does not fit');
  const reader = new BerReader(content, 0, content.length, { der: true });
  const outer = reader.enter(TAG.sequence);
  const kind = KINDS[reader.enumerated(KINDS.length - 1)] as Claim['kind'];
  const subject = reader.text(TAG.utf8String);
  if (!NAME.test(subject)) reader.fail('the subject is not a name');
  const issuer = pinFromBytes(reader.octets());
  const issuedAt = reader.integer(0, Number.MAX_SAFE_INTEGER);
  const body = reader.octets();
  reader.leave(outer);
  reader.finish();
  if (!samePin(issuer, pin))
    throw new PosternError(
      'statement.invalid',
      'the statement names another issuer than the key that signed it',
    );
  return { claim: readClaim(kind, body, pin), subject, issuer, issuedAt };
}

function readClaim(kind: Claim['kind'], body: Buffer, issuer: Pin): Claim {
  const reader = new BerReader(body, 0, body.length, { der: true });
  const claim = ((): Claim => {
    switch (kind) {
      case 'sealingKey': {
        const publicKey = reader.octets();
        if (publicKey.length !== 32) reader.fail('an X25519 public key has 32 bytes');
        return { kind, publicKey: Buffer.from(publicKey) };
      }
      case 'nextCertificate': {
        const outer = reader.enter(TAG.sequence);
        const next = parseCertificate(reader.octets());
        if (!verifyBytes(next.publicKey, POSSESSION_DOMAIN, possession(issuer, next.der), reader.octets())) {
          throw new PosternError('statement.invalid', 'the next key has not signed');
        }
        reader.leave(outer);
        return { kind, certificate: next.der, pin: next.pin };
      }
      case 'membership': {
        const outer = reader.enter(TAG.sequence);
        const pin = pinFromBytes(reader.octets());
        const role = ROLES[reader.enumerated(ROLES.length - 1)] as Role;
        reader.leave(outer);
        return { kind, pin, role };
      }
      case 'removal':
        return { kind, pin: pinFromBytes(reader.octets()) };
    }
  })();
  reader.finish();
  return claim;
}

/** What the next key signs: whose successor it is, and the certificate it will show. */
function possession(current: Pin, nextCertificate: Uint8Array): Buffer {
  return Buffer.concat([pinBytes(current), nextCertificate]);
}
