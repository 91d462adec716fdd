import { beforeAll, describe, expect, it } from 'vitest';
import { SITE_START as START } from '../../test/support/subscription-file.ts';
import { makeEdge, makeHub, type TestEdge, type TestHub } from '../../test/support/subscription-site.ts';
import { formatFingerprint } from '../certificate/pin.ts';
import { createSubscription } from './edge-subscription.ts';
import { readSubscriptionFile } from './file-reader.ts';
import { describeSubscription, type SubscriptionView, validityInWords, viewSubscription } from './inspect.ts';

const HOUR = 3_600_000;
let edge: TestEdge;
let hub: TestHub;
let clear: string;
let sealed: string;
beforeAll(async () => {
  [edge, hub] = await Promise.all([makeEdge(), makeHub()]);
  clear = (await createSubscription(edge.deps)).bytes.toString();
  sealed = (await createSubscription(edge.deps, { sealTo: hub.public })).bytes.toString();
});
const view = (xml: string, now = START + HOUR): SubscriptionView =>
  viewSubscription(readSubscriptionFile(Buffer.from(xml)), now);
const text = (xml: string, now = START + HOUR): string =>
  describeSubscription(view(xml, now), now)
    .map(([label, value]) => `${label}: ${value}`)
    .join('\n');

describe('inspect', () => {
  it('shows everything but the password', () => {
    const password = /<ESRAPassword>([^<]*)</.exec(clear)?.[1] ?? '';
    expect(password.length).toBeGreaterThan(40);
    const shown = view(clear);
    expect(`${JSON.stringify(shown)}${text(clear)}`).not.toContain(password.slice(0, 12));
    expect(shown).toMatchObject({
      edge: 'edge1',
      fqdn: 'edge1.perimeter.example',
      port: 50636,
      account: 'ESRA.edge1',
      fingerprint: formatFingerprint(edge.edge.identity.pin),
      effectiveAt: START,
      expiresAt: START + 24 * HOUR,
      password: 'in clear text',
      signature: 'good',
      usable: true,
      problems: [],
      certificate: { names: ['edge1.perimeter.example'], algorithm: 'ec prime256v1' },
    });
    expect(text(clear)).toContain('valid for another 23 h');
    expect(text(clear)).toMatch(/fingerprint: ([0-9a-f]{4} ){3}[0-9a-f]{4}\n/);
  });

  it('names the hub that a file is sealed to', () => {
    expect(view(sealed)).toMatchObject({
      password: 'sealed',
      sealedTo: 'hub1',
      sealedToFingerprint: formatFingerprint(hub.public.pin),
      signature: 'good',
    });
    expect(text(sealed)).toContain('sealed to hub hub1');
  });

  it('says what is wrong, all of it', () => {
    const shown = view(clear.replace('>50636<', '>50637<'), START + 30 * HOUR);
    expect([shown.signature, shown.usable, shown.problems.map(({ code }) => code)]).toEqual([
      'bad',
      false,
      ['subscription.tampered', 'subscription.expired'],
    ]);
    expect(text(clear.replace('>50636<', '>50637<'))).toContain('BAD: the file was altered');
    expect(view(clear.replace(/ *<Postern\w+>[^<]*<\/Postern\w+>\n/g, '')).signature).toBe('none');
    const unreadable = view(clear.replace(/<EdgeCertificateBlob>[^<]*/, '<EdgeCertificateBlob>AAAA'));
    expect([unreadable.signature, unreadable.fingerprint, unreadable.certificate]).toEqual([
      'bad',
      '',
      undefined,
    ]);
  });

  it('lets nothing of the file steer a terminal', () => {
    const shown = text(clear.replace('<SerialNumber>Postern', '<SerialNumber>\u009b2J\u202e\u2066x\ufeff'));
    expect(shown).toContain('?2J??x?');
  });

  it.each([
    [START - 2 * HOUR, 'not valid yet: becomes valid in 2 h, for 1 d'],
    [START, 'valid for another 1 d'],
    [START + 24 * HOUR - 1000, 'valid for another 1 s'],
    [START + 24 * HOUR, 'expired 0 ms ago'],
    [START + 72 * HOUR, 'expired 2 d ago'],
  ])('validity at %s in words', (now, words) => {
    expect(validityInWords({ effectiveAt: START, expiresAt: START + 24 * HOUR }, now)).toBe(words);
  });
});
