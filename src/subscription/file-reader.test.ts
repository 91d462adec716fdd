import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  PLAIN_FILE_TEXTS as texts,
  problemOf as problem,
  SITE_START as MADE,
} from '../../test/support/subscription-file.ts';
import { type Element, ELEMENTS, writeSubscriptionXml } from './file.ts';
import { readSubscriptionFile } from './file-reader.ts';
import { ticksFromUnixMs } from './ticks.ts';

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
