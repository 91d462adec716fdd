import { createHmac } from 'node:crypto';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Secret } from '../../base/secret.ts';
import { createAddressHasher } from './hasher.ts';

const key = Buffer.alloc(32, 5);
const hasher = createAddressHasher(new Secret(key));
const expected = (canonical: string): Buffer =>
  createHmac('sha256', key).update(canonical).digest().subarray(0, 16);

describe('addresses at rest', () => {
  it('is HMAC-SHA-256 cut to 16 bytes', () => {
    expect(hasher.hash('anna@example.org')).toEqual(expected('anna@example.org'));
    expect(hasher.hash(Buffer.from('jürgen@example.org'))).toEqual(expected('jürgen@example.org'));
    // RFC 4231 §4.3, test case 2.
    const rfc = createAddressHasher(new Secret('Jefe')).hash('what do ya want for nothing?');
    expect(rfc.toString('hex')).toBe('5bdcc146bf60754e6a042426089575c7');
  });

  it('does not depend on what becomes of the key it was given', () => {
    const secret = new Secret(key);
    const own = createAddressHasher(secret);
    secret.erase();
    expect(own.hash('a@b')).toEqual(expected('a@b'));
    expect(inspect(own, { depth: 9 })).not.toContain(key.toString('hex'));
  });

  it.each([
    ['Anna@Example.org', 'anna@example.org'],
    ['smtp:anna@example.org', 'anna@example.org'],
    ['SMTP:Anna@Example.ORG', 'anna@example.org'],
    ['sMtP:"anna"@example.org', 'anna@example.org'],
    ['smtp:JÜRGEN@münchen.de', 'jürgen@xn--mnchen-3ya.de'],
    ['"smtp:x"@example.org', '"smtp:x"@example.org'],
  ])('the assertion %s asks for %s', (assertion, canonical) => {
    expect(hasher.hashAssertion(Buffer.from(assertion))).toEqual(expected(canonical));
  });

  it.each([
    '',
    'smtp:',
    'smtp',
    'anna',
    '@example.org',
    'smtp:@example.org',
    'X500:/o=a/cn=b',
    'sip:anna@example.org',
    'smtp:smtp:a@b',
    '*',
  ])('the assertion %j matches nothing', (assertion) => {
    expect(hasher.hashAssertion(Buffer.from(assertion))).toBeUndefined();
  });

  it('any bytes give a hash or nothing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (raw) => {
        expect(hasher.hashAssertion(raw)?.length ?? 16).toBe(16);
      }),
    );
  });
});
