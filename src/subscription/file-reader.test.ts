import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isPosternError } from '../base/error.ts';
import { type Element, ELEMENTS, type FileTexts, writeSubscriptionXml } from './file.ts';
import { readSubscriptionFile } from './file-reader.ts';
import { ticksFromUnixMs } from './ticks.ts';

const MADE = Date.UTC(2026, 10, 2, 10);
const texts: FileTexts = {
  EdgeServerName: 'edge1',
  EdgeServerFQDN: 'edge1.perimeter.example',
  EdgeCertificateBlob: Buffer.from('not looked into here').toString('base64'),
  ESRAUsername: 'ESRA.edge1',
  ESRAPassword: 'p<&>"\'w',
  EffectiveDate: String(ticksFromUnixMs(MADE)),
  Duration: '864000000000',
  AdamSslPort: '50636',
  ProductID: '',
  VersionNumber: '1',
  SerialNumber: 'Postern 0.1.0',
};
const xml = writeSubscriptionXml(texts).toString('utf8');

/** Another product's file: other order, indentation, an XML Schema namespace, comments, ISO dates, a wrapped certificate, elements of its own. */
const foreign = `\ufeff<?xml version='1.0' encoding='UTF-8' standalone="yes"?>\r
<!-- made by hand -->\r
<?keep this?>\r
<EdgeSubscriptionData xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:v="urn:v" version="3">\r
\t<SerialNumber>Version 15.0 (Build 1497.2)</SerialNumber><VersionNumber> 15 </VersionNumber>\r
\t<ProductID>AAAA<v:License><b>secret</b></v:License>BBBB</ProductID>\r
\t<AdamSslPort>\r\n50636\r\n</AdamSslPort>\r
\t<Duration>P1D</Duration><EffectiveDate>2026-11-02T10:00:00Z</EffectiveDate>\r
\t<ESRAPassword><![CDATA[p<&>"'w]]></ESRAPassword><ESRAUsername>ESRA.edge1</ESRAUsername>\r
\t<EdgeCertificateBlob>bm90IGxvb2tl\r\n\t\tZCBpbnRvIGhlcmU=</EdgeCertificateBlob>\r
\t<v:EdgeServerFQDN>evil.example</v:EdgeServerFQDN><EdgeServerFQDN>edge1.perimeter.<!-- x -->example</EdgeServerFQDN>\r
\t<Unknown><EdgeServerName>evil</EdgeServerName></Unknown><EdgeServerName>edge1</EdgeServerName>\r
</EdgeSubscriptionData>\r\n`;

const problem = (bytes: Uint8Array | string): { code: string; message: string; element: unknown } => {
  try {
    readSubscriptionFile(Buffer.from(bytes as Uint8Array));
  } catch (error) {
    if (isPosternError(error))
      return { code: error.code, message: error.message, element: error.fields['element'] };
    throw error;
  }
  return { code: 'accepted', message: '', element: undefined };
};

const change = (from: string | RegExp, to: string): string => {
  const changed = xml.replace(from, () => to);
  expect(changed).not.toBe(xml);
  return changed;
};

describe('a subscription file', () => {
  it('says what was written', () => {
    expect(readSubscriptionFile(Buffer.from(xml))).toMatchObject({
      edgeName: 'edge1',
      edgeFqdn: 'edge1.perimeter.example',
      certificate: Buffer.from('not looked into here'),
      userName: 'ESRA.edge1',
      effectiveAt: MADE,
      durationMs: 86_400_000,
      port: 50636,
      productId: '',
      versionNumber: '1',
      serialNumber: 'Postern 0.1.0',
      format: undefined,
      signed: false,
    });
  });

  it('has its elements in the order of the specification', () => {
    expect([...xml.matchAll(/<([A-Za-z]+)>/g)].map((match) => match[1])).toEqual([
      'EdgeSubscriptionData',
      ...Object.keys(texts),
    ]);
    expect(Object.keys(texts)).toEqual(ELEMENTS.slice(0, 11));
  });

  it('of another product is read, whatever its order, indentation and additions', () => {
    const file = readSubscriptionFile(Buffer.from(foreign));
    expect(file).toMatchObject({
      edgeName: 'edge1',
      edgeFqdn: 'edge1.perimeter.example',
      port: 50636,
      effectiveAt: MADE,
      durationMs: 86_400_000,
      signed: false,
    });
    expect(file).toMatchObject({
      versionNumber: '15',
      productId: 'AAAABBBB',
      certificate: Buffer.from('not looked into here'),
    });
    expect(file.password.kind === 'clear' && file.password.secret.revealText()).toBe('p<&>"\'w');
  });

  it('comes back as it was written', () => {
    const visible = fc
      .string({ unit: 'binary', maxLength: 60 })
      .filter(
        (text) =>
          /^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]*$/.test(text) && text.isWellFormed(),
      );
    const trimmed = visible.map((text) => text.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, ''));
    const nonEmpty = trimmed.filter((text) => text !== '');
    fc.assert(
      fc.property(
        fc.record({
          edgeName: nonEmpty,
          edgeFqdn: nonEmpty,
          userName: nonEmpty,
          password: visible.filter((text) => text !== ''),
          productId: trimmed,
          serialNumber: trimmed,
          effectiveAt: fc.integer({ min: Date.UTC(1970, 0), max: Date.UTC(2999, 0) }),
          durationMs: fc.integer({ min: 1, max: 1e12 }),
          port: fc.integer({ min: 1, max: 65535 }),
          certificate: fc.uint8Array({ minLength: 1, maxLength: 3000 }).map((bytes) => Buffer.from(bytes)),
        }),
        ({ password, ...rest }) => {
          const file = readSubscriptionFile(
            writeSubscriptionXml({
              EdgeServerName: rest.edgeName,
              EdgeServerFQDN: rest.edgeFqdn,
              EdgeCertificateBlob: rest.certificate.toString('base64'),
              ESRAUsername: rest.userName,
              ESRAPassword: password,
              EffectiveDate: String(ticksFromUnixMs(rest.effectiveAt)),
              Duration: String(BigInt(rest.durationMs) * 10_000n),
              AdamSslPort: String(rest.port),
              ProductID: rest.productId,
              SerialNumber: rest.serialNumber,
            }),
          );
          expect(file).toMatchObject(rest);
          expect(file.password.kind === 'clear' && file.password.secret.revealText()).toBe(password);
        },
      ),
    );
  });

  it('is the same file when only its layout differs, and another when a text differs', () => {
    const { id } = readSubscriptionFile(Buffer.from(xml));
    const reversed = Object.entries(texts)
      .reverse()
      .map(
        ([element, text]) =>
          `<${element}>${text.replace(/[<&>]/g, (c) => `&#${c.charCodeAt(0)};`)}</${element}>`,
      );
    expect(
      readSubscriptionFile(
        Buffer.from(`<EdgeSubscriptionData>${reversed.join('\r\n')}<New/></EdgeSubscriptionData>`),
      ).id,
    ).toBe(id);
    for (const element of Object.keys(texts) as Element[]) {
      const other = {
        ...texts,
        [element]:
          element === 'EdgeCertificateBlob'
            ? 'AAAA'
            : ['EffectiveDate', 'Duration', 'AdamSslPort'].includes(element)
              ? '1'
              : 'other',
      };
      if (element === 'Duration') other.Duration = '10000';
      expect(readSubscriptionFile(writeSubscriptionXml(other)).id).not.toBe(id);
    }
    // Moving a character from one element to the next is seen, too.
    expect(
      readSubscriptionFile(
        writeSubscriptionXml({ ...texts, VersionNumber: '1P', SerialNumber: 'ostern 0.1.0' }),
      ).id,
    ).not.toBe(id);
  });

  it('cut anywhere is refused', () => {
    for (let length = 0; length < xml.length - 1; length++) {
      expect(problem(xml.slice(0, length)), `first ${length} bytes`).toMatchObject({
        code: 'subscription.malformed',
      });
    }
    expect(problem(xml.slice(0, -1)).code).toBe('accepted');
  });

  it('of any bytes at all is read or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void problem(bytes)),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.nat(xml.length - 1), fc.nat(255), (at, value) => {
        const bytes = Buffer.from(xml);
        bytes[at] = value;
        problem(bytes);
      }),
      { numRuns: 2000 },
    );
  });
});

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
