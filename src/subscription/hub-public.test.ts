import { beforeAll, describe, expect, it } from 'vitest';
import { makeHub, type TestHub } from '../../test/support/subscription-site.ts';
import { isPosternError } from '../base/error.ts';
import { formatFingerprint } from '../certificate/pin.ts';
import { MOST_HUB_PUBLIC_BYTES, readHubPublic, writeHubPublic } from './hub-public.ts';

let hub: TestHub;
let other: TestHub;
beforeAll(async () => {
  [hub, other] = await Promise.all([makeHub(), makeHub('hub2')]);
});
const problem = (text: string): string => {
  try {
    readHubPublic(Buffer.from(text));
  } catch (error) {
    if (isPosternError(error)) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'accepted';
};

describe("the hub's public file", () => {
  it('says who the hub is and what to seal to', () => {
    expect(hub.public).toMatchObject({ name: 'hub1', fqdn: 'hub1.corp.example', pin: hub.hub.identity.pin });
    expect(hub.public.sealingKey.equals(hub.hub.sealingKeys[0].publicKey)).toBe(true);
  });

  it('shows people the fingerprint in groups, and holds no secret', () => {
    const shown = (hub.publicText.match(/^ {2}[0-9a-f ]+$/gm) ?? []).map((line) => line.trim()).join(' ');
    expect(shown).toBe(formatFingerprint(hub.hub.identity.pin));
    const block = Buffer.from(
      /-----BEGIN POSTERN HUB-----([^-]*)-----END/.exec(hub.publicText)?.[1] ?? '',
      'base64',
    );
    expect(block.includes(hub.hub.sealingKeys[0].publicKey)).toBe(true);
    expect(block.includes(hub.hub.sealingKeys[0].privateKey.reveal())).toBe(false);
  });

  it('survives mail: other line ends, text around it', () => {
    expect(problem(`Hello,\r\n\r\n${hub.publicText.replaceAll('\n', '\r\n')}\r\nRegards`)).toBe('accepted');
  });

  it.each<[string, () => string, RegExp]>([
    ['nothing', () => '', /no block/],
    ['words only', () => hub.publicText.replace(/-----BEGIN[^]*/, ''), /no block/],
    ['two hubs', () => hub.publicText + other.publicText, /several hubs/],
    ['too much', () => hub.publicText + ' '.repeat(MOST_HUB_PUBLIC_BYTES), /larger than/],
    ['an empty block', () => '-----BEGIN POSTERN HUB-----\nAAAA\n-----END POSTERN HUB-----\n', /damaged/],
  ])('%s is refused', (_name, make, message) => {
    expect(problem(make())).toMatch(message);
    expect(problem(make())).toMatch(/^usage: /);
  });

  it('with any one bit changed is refused', () => {
    const block = /(-----BEGIN POSTERN HUB-----\n)([^-]*)/.exec(hub.publicText);
    const der = Buffer.from(block?.[2] ?? '', 'base64');
    for (let at = 0; at < der.length; at++) {
      const changed = Buffer.from(der);
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
      const text = `-----BEGIN POSTERN HUB-----\n${changed.toString('base64')}\n-----END POSTERN HUB-----\n`;
      expect(problem(text), `byte ${at}`).toMatch(/^usage: .*damaged/);
    }
  });

  it("with another hub's sealing statement is not even written", () => {
    const { identity } = hub.hub;
    const sealingStatement = other.node.store.value.sealingStatement;
    expect(() => writeHubPublic({ name: 'hub1', fqdn: hub.hub.fqdn, identity, sealingStatement })).toThrow(
      expect.objectContaining({ code: 'usage' }),
    );
  });
});
