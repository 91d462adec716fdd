/** Certificates that somebody brings, made by openssl as an authority's customers get them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OpenSsl } from '../../test/support/openssl.ts';
import { issued, selfSigned, SUPPORTED } from '../../test/support/foreign-identity.ts';
import { systemClock } from '../base/clock.ts';
import { systemFiles } from '../base/files.ts';
import { type BroughtFor, checkBrought } from './brought.ts';
import { type Identity, loadIdentity } from './identity.ts';

const NAME = 'hub1.example.com';
let tool: OpenSsl;
beforeAll(async () => {
  tool = await OpenSsl.open();
});
afterAll(() => tool[Symbol.asyncDispose]());

const at = (change: Partial<BroughtFor> = {}): BroughtFor => ({
  fqdn: NAME,
  role: 'hub',
  now: systemClock.now(),
  ...change,
});

/** Signed with its own P-256 key; `extensions` as openssl's -addext takes them. */
async function made(file: string, extensions: readonly string[]): Promise<Identity> {
  await tool.run('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', `${file}.key`);
  const more = extensions.flatMap((one) => ['-addext', one]);
  const subject = ['-subj', `/CN=${NAME}`, '-days', '30'];
  await tool.run('req', '-x509', '-new', '-key', `${file}.key`, '-out', `${file}.pem`, ...subject, ...more);
  return loadIdentity(systemFiles, tool.path(`${file}.key`), tool.path(`${file}.pem`));
}

describe("somebody else's certificate", () => {
  it.each(SUPPORTED)('%s is taken', async (kind) => {
    const { key, certificate } = await selfSigned(tool, kind, NAME);
    const identity = await loadIdentity(systemFiles, tool.path(key), tool.path(certificate));
    expect(() => checkBrought(identity, at())).not.toThrow();
    expect(() => checkBrought(identity, at({ role: 'edge' }))).not.toThrow();
  });

  it('that an authority issued is taken, with its chain', async () => {
    const { key, certificate } = await issued(tool, NAME);
    const identity = await loadIdentity(systemFiles, tool.path(key), tool.path(certificate));
    expect(() => checkBrought(identity, at())).not.toThrow();
    expect(identity.certificatePem.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
  });

  it.each<[string, readonly string[], Partial<BroughtFor>, RegExp | undefined]>([
    ['a wildcard', ['subjectAltName=DNS:*.example.com'], {}, undefined],
    [
      'a wildcard of another level',
      ['subjectAltName=DNS:*.com'],
      {},
      /does not have hub1\.example\.com \(it has/,
    ],
    ['another name', ['subjectAltName=DNS:hub2.example.com'], {}, /it has hub2\.example\.com/],
    ['no alternative name', [], {}, /subject alternative name does not have/],
    [
      'only a server',
      [`subjectAltName=DNS:${NAME}`, 'extendedKeyUsage=serverAuth'],
      {},
      /does not have clientAuth, and a hub is a TLS client/,
    ],
    [
      'only a server, for an edge',
      [`subjectAltName=DNS:${NAME}`, 'extendedKeyUsage=serverAuth'],
      { role: 'edge' },
      undefined,
    ],
    [
      'only a client, for an edge',
      [`subjectAltName=DNS:${NAME}`, 'extendedKeyUsage=clientAuth'],
      { role: 'edge' },
      /does not have serverAuth/,
    ],
    ['any use', [`subjectAltName=DNS:${NAME}`, 'extendedKeyUsage=anyExtendedKeyUsage'], {}, undefined],
    [
      'one that is over',
      [`subjectAltName=DNS:${NAME}`],
      { now: systemClock.now() + 40 * 86_400_000 },
      /it expired on/,
    ],
    [
      'one that has not begun',
      [`subjectAltName=DNS:${NAME}`],
      { now: systemClock.now() - 86_400_000 },
      /not valid before/,
    ],
  ])('%s', async (what, extensions, change, wrong) => {
    const identity = await made(what.replaceAll(/\W/g, '-'), extensions);
    const check = (): void => checkBrought(identity, at(change));
    if (wrong === undefined) expect(check).not.toThrow();
    else {
      expect(check).toThrow(wrong);
      expect(check).toThrow(
        expect.objectContaining({ code: 'certificate.invalid', hint: expect.stringMatching(/./) as string }),
      );
    }
  });
});
