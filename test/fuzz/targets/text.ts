/** Texts of LDAP: filters, names, URLs, LDIF, schema; and the subscription file. */
import fc from 'fast-check';
import { formatDn, parseDn } from '../../../src/ldap/dn.ts';
import { formatFilter, parseFilter } from '../../../src/ldap/filter.ts';
import { formatLdif, LdifReader, type LdifRecord } from '../../../src/ldap/ldif.ts';
import { LdifCutter, type LdifPiece } from '../../../src/ldap/ldif-cut.ts';
import { type LdifUpdate, readLdifUpdate } from '../../../src/ldap/ldif-change.ts';
import { LdifLines } from '../../../src/ldap/ldif-lines.ts';
import { formatLdapUrl, parseLdapUrl } from '../../../src/ldap/url.ts';
import { writeSubscriptionXml } from '../../../src/subscription/file.ts';
import { readSubscriptionFile } from '../../../src/subscription/file-reader.ts';
import { arbitraryFilter, octets } from '../../support/message-arbitrary.ts';
import { PLAIN_FILE_TEXTS } from '../../support/subscription-file.ts';
import { type FuzzTarget, mustBeEqual, valueOrRefusal } from '../target.ts';

export const exampleFilters = (seed: number, count: number): string[] =>
  fc
    .sample(arbitraryFilter(fc.constantFrom('cn', 'mail', 'sn;lang-de', '2.5.4.3', 'objectClass'), octets), {
      numRuns: count,
      seed,
    })
    .map((filter) => formatFilter(filter))
    .filter((text) => text.length < 1500 && valueOrRefusal(() => parseFilter(text)) !== undefined);

const text = (input: Buffer): string => input.toString('utf8');
const buffers = (list: readonly string[]): Buffer[] => list.map((item) => Buffer.from(item));

export const FILTER: FuzzTarget = {
  name: 'filter',
  shape: 'text',
  mostBytes: 4096,
  words: [
    '(&)',
    '(|)',
    '(!',
    '(cn=*)',
    ':dn:',
    ':=',
    '>=',
    '<=',
    '~=',
    '=*',
    '\\2a',
    '\\ff',
    ';binary',
    '(cn:2.5.13.2:=x)',
  ],
  steps: { base: 4000, perByte: 600 },
  examples: (seed) => buffers([...exampleFilters(seed, 80), '( & (cn=a)\n (!(sn=b*c*d)) )']),
  run(input) {
    const filter = valueOrRefusal(() => parseFilter(text(input)));
    if (filter === undefined) return;
    const written = formatFilter(filter);
    mustBeEqual(parseFilter(written), filter, 'filter');
    mustBeEqual(formatFilter(parseFilter(written)), written, 'text of a filter');
  },
};

export const DN: FuzzTarget = {
  name: 'dn',
  shape: 'text',
  mostBytes: 2048,
  words: [
    'cn=',
    '2.5.4.3=',
    '=#0401',
    '\\,',
    '\\+',
    '\\20',
    '\\c3\\a9',
    ' + ',
    ' , ',
    '"',
    '\\"',
    '#04',
    'OID.2.5.4.3=',
  ],
  steps: { base: 4000, perByte: 600 },
  examples: () =>
    buffers([
      '',
      'cn=a',
      'cn=a+sn=b,dc=example,dc=org',
      '2.5.4.3=#0403616263',
      'cn=\\ a\\ ,o=x',
      'CN="Sue, Grabbit",O=x',
      'cn=Lu\\C4\\8Di\\C4\\87',
      'cn = a , o = b',
    ]),
  run(input) {
    const dn = valueOrRefusal(() => parseDn(text(input)));
    if (dn === undefined) return;
    const written = formatDn(dn);
    mustBeEqual(parseDn(written), dn, 'name');
    mustBeEqual(formatDn(parseDn(written)), written, 'text of a name');
  },
};

export const URL: FuzzTarget = {
  name: 'url',
  shape: 'text',
  mostBytes: 2048,
  words: [
    'ldap://',
    'ldaps://',
    'ldapi://',
    '???',
    '?',
    '[::1]',
    ':389',
    '%2f',
    '%20',
    '%ff',
    '!x-a=b',
    'base',
    'one',
    'sub',
    '(cn=*)',
  ],
  steps: { base: 6000, perByte: 600 },
  examples: (seed) =>
    buffers([
      'ldap://',
      'ldap://host:389/dc=example,dc=org?cn,mail?sub?(cn=a)?!x=1,y',
      'ldaps://[2001:db8::1]:636/cn=a%20b',
      'ldapi://%2Frun%2Fldap.sock/??base',
      ...exampleFilters(seed, 20).map((filter) => `ldap:///dc=x?*?one?${encodeURIComponent(filter)}`),
    ]),
  run(input) {
    const url = valueOrRefusal(() => parseLdapUrl(text(input)));
    if (url === undefined) return;
    const written = formatLdapUrl(url);
    mustBeEqual(parseLdapUrl(written), url, `URL ${written}`);
  },
};

const LIMITS = { line: 500, values: 50 };

export const LDIF: FuzzTarget = {
  name: 'ldif',
  shape: 'text',
  mostBytes: 4096,
  words: [
    'dn: ',
    'dn:: ',
    '\n ',
    '\n\n',
    '\r\n',
    'version: 1\n',
    '# ',
    'changetype: add\n',
    'jpegPhoto:< file:///x',
    'cn;lang-de: ',
    ': ',
    ':: ',
    'control: 1.2',
  ],
  steps: { base: 6000, perByte: 500 },
  examples: () =>
    buffers([
      'version: 1\n\ndn: cn=a,dc=x\nobjectClass: person\ncn: a\nsn:: w6Q=\n\ndn: cn=b,dc=x\ncn: b\n c\n',
      '# comment\n folded\ndn:: Y249w6Q=\r\ncn;lang-de: x\r\ndescription:\r\n',
      formatLdif('cn=long', [
        { type: 'description', values: [Buffer.alloc(300, 'x'), Buffer.alloc(120, 0xff)] },
      ]),
    ]),
  run(input) {
    const size = 1 + ((input[0] ?? 0) & 0x1f);
    const whole = readLdif([input]);
    const pieces: Buffer[] = [];
    for (let at = 0; at < input.length; at += size) pieces.push(input.subarray(at, at + size));
    mustBeEqual(readLdif(pieces), whole, 'LDIF in pieces');
    if (whole === undefined) return;
    const written = whole.map(({ dn, attributes }) => formatLdif(dn, attributes)).join('');
    const again = readLdif([Buffer.from(written, 'latin1')], { line: 10_000, values: 50 });
    const content = (records: readonly LdifRecord[] | undefined): unknown =>
      records?.map(({ dn, attributes }) => ({ dn, attributes }));
    mustBeEqual(content(again), content(whole), 'LDIF read again');
  },
};

/** Change records; and a file cut into pieces of whole records says what it says as a whole. */
export const LDIF_CHANGE: FuzzTarget = {
  name: 'ldif-change',
  shape: 'text',
  mostBytes: 4096,
  words: [
    ...LDIF.words,
    'changetype: modify\n',
    'changetype: delete\n',
    'changetype: modrdn\n',
    'add: cn\n',
    'delete: cn\n',
    'replace: cn\n',
    'increment: n\n',
    '-\n',
    'newrdn: cn=b\n',
    'deleteoldrdn: 1\n',
    'newsuperior: o=x\n',
  ],
  steps: { base: 10_000, perByte: 900 },
  examples: () =>
    buffers([
      'version: 1\n\ndn: cn=a\nchangetype: add\ncn: a\n\ndn: cn=a\nchangetype: delete\n\n\n',
      'dn: cn=a\nchangetype: modify\nadd: cn\ncn: b\ncn: c\n-\ndelete: sn\n-\nincrement: n\nn: 1\n-\n',
      'dn: cn=a\r\nchangetype: modrdn\r\nnewrdn: cn=b\r\ndeleteoldrdn: 0\r\nnewsuperior: o=x\r\n\r\ndn: o=y\r\no: y\r\n',
    ]),
  run(input) {
    const update = (lines: LdifLines, bytes: Buffer): LdifUpdate[] =>
      [...lines.push(bytes), ...lines.end()].map(readLdifUpdate);
    const whole = valueOrRefusal(() => update(new LdifLines(LIMITS), input));
    const cut = valueOrRefusal(() => {
      const cutter = new LdifCutter({ bytes: 40, records: 2, record: 5000 });
      const size = 1 + ((input[0] ?? 0) & 0x1f);
      const pieces: LdifPiece[] = [];
      for (let at = 0; at < input.length; at += size)
        pieces.push(...cutter.push(input.subarray(at, at + size)));
      pieces.push(...cutter.end());
      mustBeEqual(Buffer.concat(pieces.map(({ bytes }) => bytes)), input, 'pieces together');
      return pieces.flatMap(({ bytes, line }) => update(new LdifLines(LIMITS, line), bytes));
    });
    mustBeEqual(cut, whole, 'updates from pieces');
  },
};

function readLdif(chunks: readonly Buffer[], limits = LIMITS): LdifRecord[] | undefined {
  return valueOrRefusal(() => {
    const reader = new LdifReader(limits);
    return [...chunks.flatMap((chunk) => reader.push(chunk)), ...reader.end()];
  });
}

const subscription = (more: Readonly<Record<string, string>> = {}): Buffer =>
  writeSubscriptionXml({ ...PLAIN_FILE_TEXTS, ...more });

export const SUBSCRIPTION: FuzzTarget = {
  name: 'subscription',
  shape: 'text',
  mostBytes: 8192,
  words: [
    '<![CDATA[',
    ']]>',
    '<!--',
    '-->',
    '<?xml version="1.0" encoding="utf-8"?>',
    '<!DOCTYPE x>',
    '&#x0;',
    '&#65;',
    '&lt;',
    '&e;',
    ' xmlns="urn:x"',
    '<PosternFormat>1</PosternFormat>',
    '</EdgeSubscriptionData>',
    '<x>',
    '</x>',
    '\ufeff',
  ],
  // The XML parser works by the character.
  steps: { base: 30_000, perByte: 600 },
  examples: () => [
    subscription(),
    subscription({
      PosternFormat: '1',
      PosternSignature: 'AAAA',
      PosternSealingStatement: 'AAAA',
      PosternPasswordPolicy: 'length=32',
    }),
    subscription({ PosternSealedTo: `hub1 ${Buffer.alloc(32).toString('base64')}`, ESRAPassword: 'AAAA' }),
  ],
  run(input) {
    const file = valueOrRefusal(() => readSubscriptionFile(input));
    if (file === undefined) return;
    const again = readSubscriptionFile(input);
    mustBeEqual(again.id, file.id, 'identifier');
    if (!(file.port >= 1 && file.port <= 65_535)) throw new Error('port out of range');
    if (!Number.isSafeInteger(file.effectiveAt) || !Number.isSafeInteger(file.durationMs))
      throw new Error('a time that is none');
    if (`${JSON.stringify({ ...file, certificate: '' })}`.includes('p<&>'))
      throw new Error('the password shows');
  },
};
