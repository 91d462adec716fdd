import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { keyIdOfCertificate } from './key-id.ts';

describe('the name of a key', () => {
  it.each([
    ['P-256', generateKeyPairSync('ec', { namedCurve: 'P-256' })],
    ['P-384', generateKeyPairSync('ec', { namedCurve: 'P-384' })],
    ['RSA', generateKeyPairSync('rsa', { modulusLength: 2048 })],
  ])("is the one that strongSwan's own tool prints: %s", (_name, { publicKey }) => {
    const spki = publicKey.export({ type: 'spki', format: 'der' });
    const shown = execFileSync('pki', ['--print', '--type', 'pub'], {
      input: spki,
      encoding: 'utf8',
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const subjectKey = /subjkey: +([0-9a-f:]+)/.exec(shown)?.[1];
    expect(keyIdOfCertificate({ spki })).toBe(subjectKey?.replaceAll(':', ''));
  });
});
