/** Each way in which a file is refused before its meaning is looked at. */
import { describe, expect, it } from 'vitest';
import { PLAIN_FILE_TEXTS as texts, problemOf as problem } from '../../test/support/subscription-file.ts';
import { writeSubscriptionXml } from './file.ts';
import { readSubscriptionFile } from './file-reader.ts';

const xml = writeSubscriptionXml(texts).toString('utf8');

const change = (from: string | RegExp, to: string): string => {
  const changed = xml.replace(from, () => to);
  expect(changed).not.toBe(xml);
  return changed;
};

const laughs = `<!DOCTYPE lolz [<!ENTITY l0 "lol">${Array.from({ length: 30 }, (_, i) => `<!ENTITY l${i + 1} "&l${i};&l${i};&l${i};&l${i};&l${i};&l${i};&l${i};&l${i};&l${i};&l${i};">`).join('')}]>`;
const withDoctype = (doctype: string, name = 'edge1'): string =>
  change(
    /<EdgeSubscriptionData>[^]*<EdgeServerName>edge1/,
    `${doctype}<EdgeSubscriptionData><EdgeServerName>${name}`,
  );
const utf16 = (text: string, bigEndian: boolean): Buffer => {
  const bytes = Buffer.from(text, 'utf16le');
  return bigEndian ? bytes.swap16() : bytes;
};

describe('refused', () => {
  it.each<[string, () => Uint8Array | string, string, RegExp, string?]>([
    ['10 MB', () => Buffer.alloc(10 * 1024 * 1024, xml), 'subscription.too-large', /10485760 bytes/],
    [
      'one byte too many',
      () => xml + ' '.repeat(64 * 1024 + 1 - xml.length),
      'subscription.too-large',
      /65537 bytes/,
    ],
    [
      'billion laughs',
      () => withDoctype(laughs, '&l30;'),
      'subscription.malformed',
      /document type declaration/,
    ],
    [
      'a DTD',
      () => withDoctype('<!DOCTYPE EdgeSubscriptionData SYSTEM "http://127.0.0.1/x.dtd">'),
      'subscription.malformed',
      /document type declaration/,
    ],
    [
      'an external entity',
      () => withDoctype('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>', '&e;'),
      'subscription.malformed',
      /document type declaration/,
    ],
    [
      'an entity of nobody',
      () => change('<EdgeServerName>edge1', '<EdgeServerName>&edge;'),
      'subscription.malformed',
      /not well-formed XML at line 3, column/,
    ],
    ['UTF-16 with a mark', () => utf16(`\ufeff${xml}`, false), 'subscription.malformed', /UTF-16/],
    ['UTF-16 with a mark, big-endian', () => utf16(`\ufeff${xml}`, true), 'subscription.malformed', /UTF-16/],
    ['UTF-16 without a mark', () => utf16(xml, false), 'subscription.malformed', /UTF-16/],
    ['UTF-16 without a mark, big-endian', () => utf16(xml, true), 'subscription.malformed', /UTF-16/],
    [
      'Latin-1 bytes',
      () => Buffer.from(change('0.1.0', '0.1.0\u00e9'), 'latin1'),
      'subscription.malformed',
      /not valid UTF-8/,
    ],
    [
      'Latin-1 declared',
      () => change('encoding="utf-8"', 'encoding="iso-8859-1"'),
      'subscription.malformed',
      /encoding other than UTF-8/,
    ],
    [
      'UTF-16 declared',
      () => change('encoding="utf-8"', 'encoding="utf-16"'),
      'subscription.malformed',
      /encoding other than UTF-8/,
    ],
    ['XML 1.1', () => change('version="1.0"', 'version="1.1"'), 'subscription.malformed', /XML version/],
    ['a NUL', () => change('0.1.0', '0.1\u0000'), 'subscription.malformed', /not well-formed/],
    ['nothing', () => '', 'subscription.malformed', /not well-formed/],
    ['JSON', () => '{"EdgeServerName":"edge1"}', 'subscription.malformed', /not well-formed/],
    [
      'another root',
      () => xml.replaceAll('EdgeSubscriptionData', 'Subscription'),
      'subscription.malformed',
      /root element/,
    ],
    [
      'a default namespace',
      () => change('<EdgeSubscriptionData>', '<EdgeSubscriptionData xmlns="urn:x">'),
      'subscription.malformed',
      /root element/,
    ],
    [
      'an unbound prefix',
      () => change('<EdgeServerName>', '<q:Extra/><EdgeServerName>'),
      'subscription.malformed',
      /not well-formed/,
    ],
    [
      'two documents',
      () => xml + xml.slice(xml.indexOf('<Edge')),
      'subscription.malformed',
      /not well-formed/,
    ],
    [
      'a duplicate',
      () => change('</EdgeServerName>', '</EdgeServerName><EdgeServerName>edge1</EdgeServerName>'),
      'subscription.malformed',
      /appears twice/,
      'EdgeServerName',
    ],
    [
      'an empty duplicate',
      () => change('<ProductID>', '<ProductID/><ProductID>'),
      'subscription.malformed',
      /appears twice/,
      'ProductID',
    ],
    [
      'an element in an element',
      () => change('>edge1<', '>edge<b>1</b><'),
      'subscription.malformed',
      /holds another element/,
      'EdgeServerName',
    ],
    [
      'deep nesting',
      () => change('<ProductID>', `<X>${'<a>'.repeat(20)}${'</a>'.repeat(20)}</X><ProductID>`),
      'subscription.malformed',
      /nested too deeply/,
    ],
    [
      'a long text',
      () => change('Postern 0.1.0', 'x'.repeat(40_000)),
      'subscription.malformed',
      /too long/,
      'SerialNumber',
    ],
    [
      'no certificate',
      () => change(/<EdgeCertificateBlob>.*<\/EdgeCertificateBlob>/, ''),
      'subscription.malformed',
      /is missing/,
      'EdgeCertificateBlob',
    ],
    [
      'an empty password',
      () => change(/<ESRAPassword>.*<\/ESRAPassword>/, '<ESRAPassword/>'),
      'subscription.malformed',
      /is missing/,
      'ESRAPassword',
    ],
    [
      'a certificate that is not base64',
      () => change('<EdgeCertificateBlob>', '<EdgeCertificateBlob>!'),
      'subscription.malformed',
      /not base64/,
      'EdgeCertificateBlob',
    ],
    [
      'a certificate in other words',
      () => change('cmU=<', 'cmV=<'),
      'subscription.malformed',
      /not base64/,
      'EdgeCertificateBlob',
    ],
    ['port 0', () => change('50636', '0'), 'subscription.malformed', /port/, 'AdamSslPort'],
    ['port 65536', () => change('50636', '65536'), 'subscription.malformed', /port/, 'AdamSslPort'],
    ['port -1', () => change('50636', '-1'), 'subscription.malformed', /port/, 'AdamSslPort'],
    ['a port by name', () => change('50636', 'ldaps'), 'subscription.malformed', /port/, 'AdamSslPort'],
    [
      'no date',
      () => change(/<EffectiveDate>\d+/, '<EffectiveDate>today'),
      'subscription.malformed',
      /not a date/,
      'EffectiveDate',
    ],
    [
      'no duration',
      () => change('864000000000', 'a day'),
      'subscription.malformed',
      /not a duration/,
      'Duration',
    ],
    [
      'a strange format',
      () => change('</EdgeSubscriptionData>', '<PosternFormat>one</PosternFormat></EdgeSubscriptionData>'),
      'subscription.malformed',
      /PosternFormat/,
      'PosternFormat',
    ],
    [
      'a strange recipient',
      () =>
        change('</EdgeSubscriptionData>', '<PosternSealedTo>hub1</PosternSealedTo></EdgeSubscriptionData>'),
      'subscription.malformed',
      /PosternSealedTo/,
      'PosternSealedTo',
    ],
  ])('%s', (_name, make, code, message, element) => {
    const found = problem(make());
    expect(found.code).toBe(code);
    expect(found.message).toMatch(message);
    expect(found.element).toBe(element);
  });

  it('without a word of what is in the file', () => {
    for (const spoiled of [
      change('p&lt;', 'hunter2&amp'),
      change('</ESRAPassword>', '<hunter2></ESRAPassword>'),
      change('</ESRAPassword>', '&hunter2;</ESRAPassword>'),
    ]) {
      let text = '';
      try {
        readSubscriptionFile(Buffer.from(spoiled));
      } catch (error) {
        text = `${String(error)} ${JSON.stringify(error)} ${(error as Error).stack} ${String((error as Error).cause)}`;
      }
      expect(text).not.toContain('hunter2');
      expect(text).not.toBe('');
    }
  });

  it('writing a text that XML cannot hold', () => {
    for (const text of ['\u0000', '\u001b', '\ufffe', '\ud800'])
      expect(() => writeSubscriptionXml({ ...texts, SerialNumber: text })).toThrow(
        expect.objectContaining({ code: 'usage' }),
      );
  });
});
