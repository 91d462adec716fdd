/** Each refusal of a file for what it says, and the signature over all of it. */
import { beforeAll, describe, expect, it } from 'vitest';
import { SITE_START as START } from '../../test/support/subscription-file.ts';
import { makeEdge, makeHub, type TestEdge, type TestHub } from '../../test/support/subscription-site.ts';
import { isPosternError, PosternError } from '../base/error.ts';
import { Secret } from '../base/secret.ts';
import { buildSubscriptionFile } from './edge-subscription.ts';
import { openFilePassword } from './import.ts';
import { readSubscriptionFile } from './file-reader.ts';
import { expectFingerprint, validateSubscription } from './validate.ts';

const MIN = 60_000;
const password = new Secret('a password that is random enough');
const window = { effectiveAt: START, expiresAt: START + 24 * 60 * MIN };
let one: TestEdge;
let two: TestEdge;
let hub: TestHub;
let xml: string;
let sealedXml: string;
let otherXml: string;
beforeAll(async () => {
  [one, two, hub] = await Promise.all([makeEdge('edge1'), makeEdge('edge2'), makeHub()]);
  xml = (await buildSubscriptionFile(one.edge, window, password)).bytes.toString();
  sealedXml = (await buildSubscriptionFile(one.edge, window, password, hub.public)).bytes.toString();
  otherXml = (await buildSubscriptionFile(two.edge, window, password)).bytes.toString();
});

const refusal = (text: string, now = START + MIN): PosternError => {
  try {
    validateSubscription(readSubscriptionFile(Buffer.from(text)), now);
  } catch (error) {
    if (isPosternError(error)) return error;
    throw error;
  }
  return new PosternError('internal', 'accepted');
};
const element = (text: string, name: string): string =>
  new RegExp(`<${name}>([^<]*)</${name}>`).exec(text)?.[1] ?? '';
const withElement = (text: string, name: string, value: string): string =>
  text.replace(new RegExp(`<${name}>[^<]*</${name}>`), () => `<${name}>${value}</${name}>`);
const without = (text: string, ...names: string[]): string =>
  names.reduce((rest, name) => rest.replace(new RegExp(` *<${name}>[^<]*</${name}>\n`), ''), text);

describe('a file of ours', () => {
  it('is good on both forms', async () => {
    for (const text of [xml, sealedXml]) {
      const file = readSubscriptionFile(Buffer.from(text));
      const valid = validateSubscription(file, START + MIN);
      expect(valid).toMatchObject({
        edgeName: 'edge1',
        edgeFqdn: 'edge1.perimeter.example',
        pin: one.edge.identity.pin,
        expiresAt: window.expiresAt,
        warnings: [],
      });
      expect(
        valid.sealingKey?.equals(one.node.store.value.sealingKeys[0]?.publicKey ?? Buffer.alloc(0)),
      ).toBe(true);
      expect((await openFilePassword(file, hub.hub)).equals(password)).toBe(true);
      expect(file).toMatchObject({
        signed: true,
        format: 1,
        passwordPolicy: one.edge.policy,
        versionNumber: '1',
        serialNumber: 'Postern test',
      });
    }
    expect(sealedXml).not.toContain(password.revealText());
    expect(readSubscriptionFile(Buffer.from(sealedXml)).password).toMatchObject({
      kind: 'sealed',
      hub: 'hub1',
      pin: hub.public.pin,
    });
  });

  it('is good however it is laid out', () => {
    const lines = xml.split('\n');
    const reversed = [...lines.slice(0, 2), ...lines.slice(2, -2).reverse(), ...lines.slice(-2)].join(
      '\r\n\r\n',
    );
    expect(refusal(reversed).message).toBe('accepted');
    const wrapped = withElement(
      xml,
      'EdgeCertificateBlob',
      `\n    ${element(xml, 'EdgeCertificateBlob').replace(/.{76}/g, '$&\n    ')}\n  `,
    );
    expect(wrapped).not.toBe(xml);
    expect(refusal(wrapped).message).toBe('accepted');
    expect(refusal(xml.replace('</EdgeServerFQDN>', '</EdgeServerFQDN><Site>Berlin</Site>')).message).toBe(
      'accepted',
    );
  });

  it.each<[string, number, string, RegExp]>([
    ['at its first moment', 0, 'internal', /accepted/],
    ['at its last', 24 * 60 * MIN - 1, 'internal', /accepted/],
    [
      'at its end',
      24 * 60 * MIN,
      'subscription.expired',
      /expired 0 ms ago: it was good until 2026-11-03T10:00:00.000Z/,
    ],
    ['a day later', 48 * 60 * MIN, 'subscription.expired', /expired 1 d ago/],
    ['with a clock 5 min behind', -5 * MIN, 'internal', /accepted/],
    [
      'with a clock more than 5 min behind',
      -5 * MIN - 1,
      'subscription.not-yet-valid',
      /in 5 min only: the two clocks differ by 5 min or more/,
    ],
    [
      'with a clock 90 min behind',
      -90 * MIN,
      'subscription.not-yet-valid',
      /the two clocks differ by 90 min/,
    ],
  ])('%s', (_name, offset, code, message) => {
    const found = refusal(xml, START + offset);
    expect([found.code, found.message]).toEqual([code, expect.stringMatching(message)]);
  });

  it('that is not yet valid, or was made just now and has expired, names both clocks', () => {
    expect(refusal(xml, START - 90 * MIN).hint).toMatch(
      /edge's clock said 2026-11-02T10:00:00.000Z .* this machine's says 2026-11-02T08:30:00.000Z/,
    );
    expect(refusal(xml, START + 25 * 60 * MIN).hint).toMatch(
      /edge's clock said 2026-11-02T10:00:00.000Z .* this machine's says 2026-11-03T11:00:00.000Z/,
    );
  });

  it('tells of a clock that is a little behind', () => {
    expect(validateSubscription(readSubscriptionFile(Buffer.from(xml)), START - 2 * MIN).warnings).toEqual([
      expect.stringContaining('at least 2 min behind'),
    ]);
  });
});

describe('an altered file is refused', () => {
  it.each<[string, (text: string) => string, string]>([
    [
      "another edge's certificate",
      (text) => withElement(text, 'EdgeCertificateBlob', element(otherXml, 'EdgeCertificateBlob')),
      'subscription.tampered',
    ],
    [
      "another edge's certificate and statement",
      (text) =>
        withElement(
          withElement(text, 'EdgeCertificateBlob', element(otherXml, 'EdgeCertificateBlob')),
          'PosternSealingStatement',
          element(otherXml, 'PosternSealingStatement'),
        ),
      'subscription.tampered',
    ],
    [
      "another edge's statement",
      (text) => withElement(text, 'PosternSealingStatement', element(otherXml, 'PosternSealingStatement')),
      'subscription.tampered',
    ],
    [
      'another password',
      (text) => withElement(text, 'ESRAPassword', 'x'.repeat(128)),
      'subscription.tampered',
    ],
    [
      'a blank behind the password',
      (text) => withElement(text, 'ESRAPassword', `${element(text, 'ESRAPassword')} `),
      'subscription.tampered',
    ],
    ['another port', (text) => withElement(text, 'AdamSslPort', '636'), 'subscription.tampered'],
    ['another host', (text) => withElement(text, 'EdgeServerFQDN', 'evil.example'), 'subscription.tampered'],
    ['a longer life', (text) => withElement(text, 'Duration', '8640000000000'), 'subscription.tampered'],
    ['a product id', (text) => withElement(text, 'ProductID', 'X'), 'subscription.tampered'],
    [
      'no product id',
      (text) => without(text.replace('<ProductID></ProductID>', '<ProductID>X</ProductID>'), 'ProductID'),
      'subscription.tampered',
    ],
    [
      'a weaker password policy',
      (text) =>
        withElement(text, 'PosternPasswordPolicy', 'shortest=1 longest=42 upper=0 lower=0 digit=0 symbol=0'),
      'subscription.tampered',
    ],
    ['its signature taken out', (text) => without(text, 'PosternSignature'), 'subscription.tampered'],
    [
      'its signature and format taken out',
      (text) => without(text, 'PosternSignature', 'PosternFormat'),
      'subscription.tampered',
    ],
    ['its format taken out', (text) => without(text, 'PosternFormat'), 'subscription.tampered'],
    [
      'a recipient for a password in clear',
      (text) =>
        text.replace(
          '  <PosternSignature>',
          `  <PosternSealedTo>hub1 ${hub.public.pin}</PosternSealedTo>\n  <PosternSignature>`,
        ),
      'subscription.malformed',
    ],
    ['a format of the future', (text) => withElement(text, 'PosternFormat', '2'), 'subscription.malformed'],
    [
      'a certificate that is none',
      (text) => withElement(text, 'EdgeCertificateBlob', 'AAAA'),
      'certificate.invalid',
    ],
  ])('%s', (_name, change, code) => {
    const changed = change(xml);
    expect(changed).not.toBe(xml);
    expect(refusal(changed).code).toBe(code);
  });

  it('with any one bit of the signed texts changed', () => {
    let refused = 0;
    const bytes = Buffer.from(xml);
    for (const match of xml.matchAll(/<(\w+)>([^<]+)<\/\1>/g)) {
      const start = match.index + (match[1] ?? '').length + 2;
      const step = Math.max(1, Math.floor((match[2] ?? '').length / 40));
      for (let at = start; at < start + (match[2] ?? '').length; at += step) {
        for (const bit of [1, 2, 4, 32]) {
          const changed = Buffer.from(bytes);
          changed[at] = (changed[at] ?? 0) ^ bit;
          expect(
            refusal(changed.toString('latin1')).message,
            `${match[1] ?? ''} at ${at}, bit ${bit}`,
          ).not.toBe('accepted');
          refused++;
        }
      }
    }
    expect(refused).toBeGreaterThan(1000);
  });

  it('what is sealed in one file opens in no other', async () => {
    const later = (
      await buildSubscriptionFile(
        one.edge,
        { ...window, expiresAt: window.expiresAt + 1 },
        new Secret('other'),
        hub.public,
      )
    ).bytes.toString();
    const moved = readSubscriptionFile(
      Buffer.from(withElement(later, 'ESRAPassword', element(sealedXml, 'ESRAPassword'))),
    );
    await expect(openFilePassword(moved, hub.hub)).rejects.toThrow(
      expect.objectContaining({ code: 'subscription.wrong-hub' }),
    );
    const stranger = await makeHub('hub2');
    await expect(
      openFilePassword(readSubscriptionFile(Buffer.from(sealedXml)), stranger.hub),
    ).rejects.toThrow(expect.objectContaining({ code: 'subscription.wrong-hub' }));
  });
});

describe('an unsigned file', () => {
  const plain = (): string =>
    without(xml, 'PosternFormat', 'PosternSealingStatement', 'PosternPasswordPolicy', 'PosternSignature');

  it('of another product is let through with a note', () => {
    const valid = validateSubscription(readSubscriptionFile(Buffer.from(plain())), START + MIN);
    expect(valid.sealingKey).toBeUndefined();
    expect(valid.file.signed).toBe(false);
    expect(valid.warnings).toEqual([expect.stringContaining('not signed')]);
  });

  it.each<[string, (text: string) => string, string, string]>([
    [
      'a name with a dot',
      (text) => withElement(text, 'EdgeServerName', 'edge1.perimeter'),
      'subscription.malformed',
      'EdgeServerName',
    ],
    [
      'a host name with a blank',
      (text) => withElement(text, 'EdgeServerFQDN', 'edge 1'),
      'subscription.malformed',
      'EdgeServerFQDN',
    ],
    [
      'an address for a host name',
      (text) => withElement(text, 'EdgeServerFQDN', '192.0.2.1'),
      'subscription.malformed',
      'EdgeServerFQDN',
    ],
    [
      "another edge's account",
      (text) => withElement(text, 'ESRAUsername', 'ESRA.edge2'),
      'subscription.malformed',
      'ESRAUsername',
    ],
    [
      "a hub's account",
      (text) => withElement(text, 'ESRAUsername', 'ESRA.edge1.hub1.0'),
      'subscription.malformed',
      'ESRAUsername',
    ],
    [
      'an account of another kind',
      (text) => withElement(text, 'ESRAUsername', 'Administrator'),
      'subscription.malformed',
      'ESRAUsername',
    ],
    [
      'a life of ten years',
      (text) => withElement(text, 'Duration', String(864_000_000_000n * 3653n)),
      'subscription.malformed',
      'Duration',
    ],
    [
      'a certificate that is none',
      (text) => withElement(text, 'EdgeCertificateBlob', 'MAA='),
      'certificate.invalid',
      'EdgeCertificateBlob',
    ],
  ])('with %s is refused', (_name, change, code, where) => {
    const found = refusal(change(plain()));
    expect([found.code, found.fields['element']]).toEqual([code, where]);
  });

  it('accepts names in other case and a final dot', () => {
    const text = withElement(
      withElement(plain(), 'ESRAUsername', 'esra.EDGE1'),
      'EdgeServerFQDN',
      'Edge1.Perimeter.Example.',
    );
    expect(validateSubscription(readSubscriptionFile(Buffer.from(text)), START + MIN).edgeFqdn).toBe(
      'edge1.perimeter.example',
    );
  });
});

it('the expected fingerprint is compared', () => {
  const valid = validateSubscription(readSubscriptionFile(Buffer.from(xml)), START + MIN);
  expect(() => expectFingerprint(valid, one.edge.identity.pin)).not.toThrow();
  expect(() => expectFingerprint(valid, two.edge.identity.pin)).toThrow(
    expect.objectContaining({ code: 'pin.mismatch' }),
  );
});
