import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatLdif } from './ldif.ts';
import { type LdifUpdate, readLdifUpdate } from './ldif-change.ts';
import { LdifCutter } from './ldif-cut.ts';
import { LdifLines } from './ldif-lines.ts';

function read(text: string, firstLine = 1): LdifUpdate[] {
  const lines = new LdifLines(undefined, firstLine);
  return [...lines.push(Buffer.from(text)), ...lines.end()].map(readLdifUpdate);
}

const plain = (update: LdifUpdate | undefined): unknown =>
  JSON.parse(
    JSON.stringify(update?.request, (_key, value: unknown) =>
      (value as { type?: string } | null)?.type === 'Buffer'
        ? Buffer.from((value as { data: number[] }).data).toString()
        : value,
    ),
  );

describe('LDIF change records', () => {
  // RFC 2849, examples 3, 4, 6 and 7, shortened; the last with a modification of RFC 4525.
  it('reads the kinds of RFC 2849', () => {
    const updates = read(`version: 1

dn: cn=Fiona Jensen,dc=airius,dc=com
changetype: add
objectclass: person
cn: Fiona Jensen
sn: Jensen

dn: cn=Robert Jensen,dc=airius,dc=com
control: 1.2.840.113556.1.4.805 false
changetype: delete

dn: cn=Paul Jensen,dc=airius,dc=com
changetype: modrdn
newrdn: cn=Paula Jensen
deleteoldrdn: 1

dn: ou=PD Accountants,dc=airius,dc=com
changetype: moddn
newrdn: ou=PD Accountants
deleteoldrdn: 0
newsuperior: ou=Accounting,dc=airius,dc=com

dn: cn=Paula Jensen,dc=airius,dc=com
changetype: modify
add: postaladdress
postaladdress: 123 Anystreet
-
delete: description
-
replace: telephonenumber
telephonenumber: +1 408 555 1234
telephonenumber: +1 408 555 5678
-
increment: uidNumber
uidNumber: 1
`);
    expect(updates.map(({ kind, line }) => [kind, line])).toEqual([
      ['change', 3],
      ['change', 9],
      ['change', 13],
      ['change', 18],
      ['change', 24],
    ]);
    expect(updates.map(plain)).toEqual([
      {
        op: 'addRequest',
        dn: 'cn=Fiona Jensen,dc=airius,dc=com',
        attributes: [
          { type: 'objectclass', values: ['person'] },
          { type: 'cn', values: ['Fiona Jensen'] },
          { type: 'sn', values: ['Jensen'] },
        ],
      },
      { op: 'deleteRequest', dn: 'cn=Robert Jensen,dc=airius,dc=com' },
      {
        op: 'modifyDnRequest',
        dn: 'cn=Paul Jensen,dc=airius,dc=com',
        newRdn: 'cn=Paula Jensen',
        deleteOldRdn: true,
      },
      {
        op: 'modifyDnRequest',
        dn: 'ou=PD Accountants,dc=airius,dc=com',
        newRdn: 'ou=PD Accountants',
        deleteOldRdn: false,
        newSuperior: 'ou=Accounting,dc=airius,dc=com',
      },
      {
        op: 'modifyRequest',
        dn: 'cn=Paula Jensen,dc=airius,dc=com',
        changes: [
          { kind: 'add', attribute: { type: 'postaladdress', values: ['123 Anystreet'] } },
          { kind: 'delete', attribute: { type: 'description', values: [] } },
          {
            kind: 'replace',
            attribute: { type: 'telephonenumber', values: ['+1 408 555 1234', '+1 408 555 5678'] },
          },
          { kind: 'increment', attribute: { type: 'uidNumber', values: ['1'] } },
        ],
      },
    ]);
  });

  it('tells content from changes', () => {
    const [update] = read('dn: cn=a\ncn: a\n');
    expect(update?.kind).toBe('content');
    expect(plain(update)).toEqual({
      op: 'addRequest',
      dn: 'cn=a',
      attributes: [{ type: 'cn', values: ['a'] }],
    });
  });

  it.each([
    ['unknown type', 'dn: a\nchangetype: frobnicate\n', /line 102: change type frobnicate is unknown/],
    ['empty entry', 'dn: a\n', /line 101: an entry needs attributes/],
    ['empty add', 'dn: a\nchangetype: add\n', /line 102: an entry needs/],
    ['delete with more', 'dn: a\nchangetype: delete\ncn: x\n', /line 103: a delete/],
    ['critical control', 'dn: a\ncontrol: 1.2.3 true\nchangetype: delete\n', /line 102: control 1\.2\.3/],
    ['late change type', 'dn: a\ncn: x\nchangetype: delete\n', /line 103: changetype belongs/],
    ['no such modification', 'dn: a\nchangetype: modify\ncn: x\n', /line 103: expected add/],
    [
      'another attribute',
      'dn: a\nchangetype: modify\nadd: cn\nsn: x\n-\n',
      /line 104: expected a value of cn/,
    ],
    ['add without value', 'dn: a\nchangetype: modify\nadd: cn\n-\n', /line 103: add needs a value/],
    ['no newrdn', 'dn: a\nchangetype: modrdn\ndeleteoldrdn: 1\n', /line 103: expected newrdn/],
    ['deleteoldrdn', 'dn: a\nchangetype: modrdn\nnewrdn: b=c\ndeleteoldrdn: yes\n', /line 104: deleteoldrdn/],
    ['more', 'dn: a\nchangetype: moddn\nnewrdn: b=c\ndeleteoldrdn: 1\ncn: x\n', /line 105: nothing but/],
    ['a lone dash', 'dn: a\ncn: x\n-\n', /line 103: expected "attribute: value"/],
  ])('refuses, with the line: %s', (_name, text, message) => {
    expect(() => read(text, 101)).toThrow(message);
  });

  it('any lines at all give updates or a decode error', () => {
    const line = fc.oneof(
      fc.constantFrom(
        'dn: a',
        'changetype: modify',
        'changetype: moddn',
        'add: cn',
        'cn: x',
        '-',
        '',
        'newrdn: a=b',
      ),
      fc.string({ maxLength: 20 }),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), (lines) => {
        try {
          expect(Array.isArray(read(lines.join('\n')))).toBe(true);
        } catch (error) {
          expect(error).toMatchObject({ code: 'decode' });
        }
      }),
    );
  });
});

describe('LDIF in pieces', () => {
  const record = (n: number): string =>
    formatLdif(`cn=${n}`, [{ type: 'cn', values: [Buffer.from('x'.repeat(n))] }]);

  it('whatever the cuts: whole records, every byte, the right line numbers', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(200), { maxLength: 30 }),
        fc.constantFrom('\n', '\r\n'),
        fc.integer({ min: 1, max: 700 }),
        fc.integer({ min: 1, max: 5 }),
        (sizes, newline, cut, records) => {
          const text = `version: 1\n\n${sizes.map(record).join('\n')}`.replaceAll('\n', newline);
          const bytes = Buffer.from(text);
          const cutter = new LdifCutter({ bytes: 500, records, record: 10_000 });
          const pieces = [];
          for (let at = 0; at < bytes.length; at += cut)
            pieces.push(...cutter.push(bytes.subarray(at, at + cut)));
          pieces.push(...cutter.end());
          expect(Buffer.concat(pieces.map((piece) => piece.bytes)).equals(bytes)).toBe(true);
          expect(pieces.at(-1)?.offset).toBe(bytes.length);
          const whole = read(text).map((update) => [update.line, plain(update)]);
          const parts = pieces.flatMap((piece) => read(piece.bytes.toString(), piece.line));
          expect(parts.map((update) => [update.line, plain(update)])).toEqual(whole);
        },
      ),
    );
  });

  it('a record without end is refused', () => {
    const cutter = new LdifCutter({ bytes: 100, records: 10, record: 1000 });
    cutter.push(Buffer.from(`dn: a\n${'cn: x\n'.repeat(100)}`));
    expect(() => cutter.push(Buffer.from('cn: x\n'.repeat(200)))).toThrow('record too long');
  });
});
