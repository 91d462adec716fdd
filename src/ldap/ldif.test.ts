import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatLdif, LdifReader, type LdifRecord } from './ldif.ts';

function read(text: string | Buffer, cut = Number.MAX_SAFE_INTEGER): LdifRecord[] {
  const bytes = Buffer.from(text as string);
  const reader = new LdifReader();
  const records: LdifRecord[] = [];
  for (let at = 0; at < bytes.length; at += cut) records.push(...reader.push(bytes.subarray(at, at + cut)));
  return [...records, ...reader.end()];
}

const SAMPLE = `version: 1
# a comment
 that goes on
dn: cn=Barbara Jensen,
 ou=Product Development,dc=airius,dc=com
cn: Barbara Jensen
cn: Babs
description:: V2hhdCBhIGNhcmVmdWwgcmVhZGVyIHlvdSBhcmUh

dn:: b3U95Za25qWt6YOoLG89QWlyaXVz
ou:
objectClass: top\r
objectclass: organizationalUnit
`;

describe('LDIF', () => {
  it('reads RFC 2849 examples', () => {
    const [first, second, ...rest] = read(SAMPLE);
    expect(rest).toEqual([]);
    expect(first?.dn).toBe('cn=Barbara Jensen,ou=Product Development,dc=airius,dc=com');
    expect(first?.attributes.map((a) => [a.type, a.values.map(String)])).toEqual([
      ['cn', ['Barbara Jensen', 'Babs']],
      ['description', ['What a careful reader you are!']],
    ]);
    expect(second?.dn).toBe('ou=営業部,o=Airius');
    expect(second?.attributes.map((a) => a.values.map(String))).toEqual([
      [''],
      ['top', 'organizationalUnit'],
    ]);
  });

  it('reads the same, split at every byte', () => {
    const whole = read(SAMPLE);
    for (let cut = 1; cut < 60; cut++) expect(read(SAMPLE, cut)).toEqual(whole);
  });

  it.each([
    ['no dn', 'cn: x\n', 'line 1'],
    ['no colon', 'dn: a\nrubbish\n', 'line 2'],
    ['change record', 'dn: a\nchangetype: delete\n', 'change records'],
    ['URL value', 'dn: a\njpegPhoto:< file:///etc/shadow\n', 'URLs'],
    ['base64', 'dn: a\ncn:: ?\n', 'base64'],
    ['continuation first', ' x\n', 'continuation'],
    ['dn not UTF-8', 'dn:: /w==\n', 'UTF-8'],
  ])('refuses: %s', (_name, text, message) => {
    expect(() => read(text)).toThrow(message);
  });

  it('bounds lines and values', () => {
    expect(() => new LdifReader({ line: 10, values: 5 }).push(Buffer.alloc(20, 65))).toThrow('too long');
    const many = `dn: a\n${'cn: x\n'.repeat(9)}\n`;
    expect(() => new LdifReader({ line: 100, values: 5 }).push(Buffer.from(many))).toThrow('too many');
  });

  it('writes what it reads', () => {
    const attribute = fc.record({
      type: fc
        .stringMatching(/^[a-z][a-z0-9-]{0,8}$/)
        .filter((t) => !['dn', 'control', 'changetype'].includes(t)),
      values: fc.array(
        fc.uint8Array({ maxLength: 120 }).map((b) => Buffer.from(b)),
        { minLength: 1, maxLength: 4 },
      ),
    });
    const unique = fc.uniqueArray(attribute, { selector: (a) => a.type, maxLength: 5 });
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 90 }), unique, (dn, attributes) => {
        const [record] = read(formatLdif(dn, attributes));
        expect(record?.dn).toBe(dn);
        expect(record?.attributes).toEqual(attributes);
      }),
    );
  });

  it('any bytes at all give records or a decode error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        try {
          read(Buffer.from(bytes));
        } catch (error) {
          expect(error).toMatchObject({ code: 'decode' });
        }
      }),
    );
  });
});
