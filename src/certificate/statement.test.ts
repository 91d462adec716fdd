import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { BerReader } from '../asn1/reader.ts';
import { TAG } from '../asn1/tag.ts';
import { encodeDer } from '../asn1/writer.ts';
import { FakeClock } from '../../test/fakes/clock.ts';
import { fakeRandom } from '../../test/fakes/random.ts';
import { createIdentity, type Identity, signAs } from './identity.ts';
import { type Pin, pinBytes, pinOfSpki } from './pin.ts';
import {
  claimedIssuer,
  MOST_STATEMENT_BYTES,
  stateMembership,
  stateNextCertificate,
  stateRemoval,
  stateSealingKey,
  verifyClaim,
  verifyStatement,
} from './statement.ts';

const clock = new FakeClock();
const options = { subject: 'hub1.example.com', issuedAt: Date.UTC(2026, 6, 1) };
const sealingKey = Buffer.alloc(32, 9);
const invalid = expect.objectContaining({ code: 'statement.invalid' });
let hub: Identity;
let next: Identity;

beforeAll(async () => {
  hub = await createIdentity('hub1.example.com', { clock, random: fakeRandom('hub') });
  next = await createIdentity('hub1.example.com', { clock, random: fakeRandom('next') });
});

/** An independent writer of statements: any kind, any fields. */
interface Parts {
  kind?: number;
  kindTag?: number;
  subject?: string;
  issuer?: Buffer;
  issuedAt?: number | bigint;
  body?: Buffer;
  more?: Buffer;
  domain?: `postern ${string} v${number}`;
}

function forged(signer: Identity, parts: Parts, issuerKey: Uint8Array = signer.certificate.spki): Buffer {
  const tlv = (tag: number, content: Uint8Array): Buffer => {
    const length =
      content.length < 128 ? [content.length] : [0x82, content.length >> 8, content.length & 255];
    return Buffer.concat([Uint8Array.of(tag, ...length), content]);
  };
  const content = tlv(
    0x30,
    Buffer.concat([
      tlv(parts.kindTag ?? 0x0a, Uint8Array.of(parts.kind ?? 0)),
      tlv(0x0c, Buffer.from(parts.subject ?? options.subject)),
      tlv(0x04, parts.issuer ?? pinBytes(pinOfSpki(issuerKey))),
      encodeDer((writer) => writer.integer(parts.issuedAt ?? options.issuedAt)),
      tlv(0x04, parts.body ?? tlv(0x04, sealingKey)),
      parts.more ?? Buffer.alloc(0),
    ]),
  );
  const signature = signAs(signer, parts.domain ?? 'postern statement v1', content);
  return tlv(0x30, Buffer.concat([tlv(4, content), tlv(4, issuerKey), tlv(4, signature)]));
}

describe('round trips', () => {
  test('sealing key', () => {
    const bytes = stateSealingKey(hub, sealingKey, options);
    expect(verifyStatement(bytes, hub.pin)).toEqual({
      claim: { kind: 'sealingKey', publicKey: sealingKey },
      ...options,
      issuer: hub.pin,
    });
    expect(claimedIssuer(bytes)).toBe(hub.pin);
  });

  test('next certificate', () => {
    const { claim } = verifyStatement(stateNextCertificate(hub, next, options), hub.pin);
    expect(claim).toEqual({ kind: 'nextCertificate', certificate: next.certificate.der, pin: next.pin });
  });

  test('removal', () => {
    const { claim } = verifyStatement(stateRemoval(hub, next.pin, options), hub.pin);
    expect(claim).toEqual({ kind: 'removal', pin: next.pin });
  });

  test.each(['hub', 'edge'] as const)('membership: %s', (role) => {
    const { claim } = verifyStatement(stateMembership(hub, { pin: next.pin, role }, options), [
      next.pin,
      hub.pin,
    ]);
    expect(claim).toEqual({ kind: 'membership', pin: next.pin, role });
  });

  test('the writer of this test writes what ours does', () => {
    const [ours, theirs] = [stateSealingKey(hub, sealingKey, options), forged(hub, {})];
    const contentOf = (bytes: Buffer): Buffer => {
      const reader = new BerReader(bytes);
      reader.enter(TAG.sequence);
      return reader.octets();
    };
    expect(contentOf(theirs)).toEqual(contentOf(ours));
    expect(verifyStatement(theirs, hub.pin)).toEqual(verifyStatement(ours, hub.pin));
  });

  test('a kind and a subject can be required', () => {
    const bytes = stateSealingKey(hub, sealingKey, options);
    expect(verifyClaim(bytes, hub.pin, 'sealingKey', options.subject).claim.publicKey).toEqual(sealingKey);
    expect(() => verifyClaim(bytes, hub.pin, 'membership', options.subject)).toThrow(invalid);
    expect(() => verifyClaim(bytes, hub.pin, 'sealingKey', 'hub2.example.com')).toThrow(invalid);
  });
});

describe('refusals', () => {
  test('one altered bit, at every place, of every kind', () => {
    for (const bytes of [
      stateSealingKey(hub, sealingKey, options),
      stateMembership(hub, { pin: next.pin, role: 'hub' }, options),
      stateNextCertificate(hub, next, options),
    ]) {
      for (let at = 0; at < bytes.length; at++) {
        const altered = Buffer.from(bytes);
        altered[at] = (altered[at] ?? 0) ^ (1 << (at % 8));
        expect(() => verifyStatement(altered, hub.pin)).toThrow(invalid);
      }
    }
  });

  test('every cut and every lengthening', () => {
    const bytes = stateSealingKey(hub, sealingKey, options);
    for (let length = 0; length < bytes.length; length++)
      expect(() => verifyStatement(bytes.subarray(0, length), hub.pin)).toThrow(invalid);
    expect(() => verifyStatement(Buffer.concat([bytes, Buffer.alloc(1)]), hub.pin)).toThrow(invalid);
    expect(() => verifyStatement(Buffer.alloc(MOST_STATEMENT_BYTES + 1), hub.pin)).toThrow(invalid);
  });

  test('any bytes at all', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(() => verifyStatement(bytes, hub.pin)).toThrow(invalid);
        try {
          claimedIssuer(bytes);
        } catch (error) {
          expect(error).toMatchObject({ code: 'statement.invalid' });
        }
      }),
    );
  });

  test('an issuer that is not trusted, or nobody trusted', () => {
    const bytes = stateSealingKey(hub, sealingKey, options);
    expect(() => verifyStatement(bytes, next.pin)).toThrow(invalid);
    expect(() => verifyStatement(bytes, [])).toThrow(invalid);
  });

  test('a trusted key beside a stranger’s signature', () => {
    expect(() => verifyStatement(forged(next, {}, hub.certificate.spki), hub.pin)).toThrow(invalid);
  });

  test.each<[string, () => Buffer]>([
    ['an unknown kind', () => forged(hub, { kind: 4 })],
    [
      'a removal of half a pin',
      () => forged(hub, { kind: 3, body: encodeDer((w) => w.octets(Buffer.alloc(16))) }),
    ],
    ['a kind of another type', () => forged(hub, { kindTag: 2 })],
    ['another issuer within', () => forged(hub, { issuer: pinBytes(next.pin) })],
    ['an issuer that is too short', () => forged(hub, { issuer: Buffer.alloc(31) })],
    ['a subject with control characters', () => forged(hub, { subject: 'hub1\n' })],
    ['an empty subject', () => forged(hub, { subject: '' })],
    ['a subject that is too long', () => forged(hub, { subject: 'a'.repeat(254) })],
    ['a negative time', () => forged(hub, { issuedAt: -1 })],
    ['a time beyond all numbers', () => forged(hub, { issuedAt: 2n ** 70n })],
    ['a sealing key that is too short', () => forged(hub, { body: Buffer.from('0403010203', 'hex') })],
    [
      'a body with something behind it',
      () => forged(hub, { body: encodeDer((w) => (w.octets(sealingKey), w.null())) }),
    ],
    ['content with something behind it', () => forged(hub, { more: Buffer.from('0500', 'hex') })],
    ['an unknown role', () => forged(hub, { kind: 2, body: membershipBody(2) })],
    ['a body of another kind', () => forged(hub, { kind: 2 })],
    ['a signature from another domain', () => forged(hub, { domain: 'postern statement v2' })],
    ['a signature without a domain of statements', () => forged(hub, { domain: 'postern credential v1' })],
  ])('%s, although signed', (_what, make) => {
    expect(() => verifyStatement(make(), hub.pin)).toThrow(invalid);
  });

  test('those would be accepted but for what is wrong with them', () => {
    expect(verifyStatement(forged(hub, {}), hub.pin).subject).toBe(options.subject);
    expect(verifyStatement(forged(hub, { kind: 2, body: membershipBody(1) }), hub.pin).claim).toMatchObject({
      role: 'edge',
    });
  });

  test('a next certificate whose key has not agreed, or agreed for somebody else', async () => {
    const other = await createIdentity('hub2.example.com', { clock, random: fakeRandom('other') });
    const body = (der: Buffer, signature: Buffer): Buffer =>
      encodeDer((writer) => {
        const outer = writer.open(TAG.sequence);
        writer.octets(der);
        writer.octets(signature);
        writer.close(outer);
      });
    const proof = (key: Identity, current: Pin, der: Buffer): Buffer =>
      signAs(key, 'postern next key v1', Buffer.concat([pinBytes(current), der]));
    const { der } = next.certificate;
    const accepted = forged(hub, { kind: 1, body: body(der, proof(next, hub.pin, der)) });
    expect(verifyStatement(accepted, hub.pin).claim).toMatchObject({ pin: next.pin });
    for (const signature of [
      proof(hub, hub.pin, der),
      proof(next, other.pin, der),
      proof(next, hub.pin, other.certificate.der),
      Buffer.alloc(64),
    ]) {
      expect(() => verifyStatement(forged(hub, { kind: 1, body: body(der, signature) }), hub.pin)).toThrow(
        invalid,
      );
    }
    const rubbish = Buffer.from('3003020100', 'hex');
    expect(() =>
      verifyStatement(forged(hub, { kind: 1, body: body(rubbish, proof(next, hub.pin, rubbish)) }), hub.pin),
    ).toThrow(invalid);
  });

  test('what is not worth stating is not stated', () => {
    expect(() => stateSealingKey(hub, Buffer.alloc(31), options)).toThrow(
      expect.objectContaining({ code: 'internal' }),
    );
    for (const subject of ['', 'a\nb', 'a'.repeat(254), 'ö']) {
      expect(() => stateSealingKey(hub, sealingKey, { ...options, subject })).toThrow(
        expect.objectContaining({ code: 'usage' }),
      );
    }
  });
});

function membershipBody(role: number): Buffer {
  return encodeDer((writer) => {
    const outer = writer.open(TAG.sequence);
    writer.octets(pinBytes(next.pin));
    writer.enumerated(role);
    writer.close(outer);
  });
}
