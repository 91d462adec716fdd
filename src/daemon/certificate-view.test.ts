import { describe, expect, it } from 'vitest';
import type { CertificateDocument, OwnCertificate } from '../admin/certificate-documents.ts';
import { certificateWarnings } from './certificate-view.ts';

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 5, 1);

const own: OwnCertificate = {
  use: 'present',
  fingerprint: 'aa',
  names: ['edge1.example.org'],
  algorithm: 'ECDSA-P256-SHA256',
  notBefore: 0,
  notAfter: NOW + 1000 * DAY,
  origin: 'own',
};
const document: CertificateDocument = {
  version: 1,
  role: 'edge',
  name: 'edge1',
  now: NOW,
  certificates: [own],
  phase: 'steady',
  since: undefined,
  until: undefined,
  waitingFor: [],
  renewsAt: undefined,
  renewBeforeMs: 30 * DAY,
  unusable: undefined,
  peers: [{ name: 'hub1', role: 'hub', fingerprint: 'bb', notAfter: NOW + DAY }],
  unproved: [],
};
const ends = (days: number, origin: OwnCertificate['origin'] = 'own'): Partial<CertificateDocument> => ({
  certificates: [{ ...own, notAfter: NOW + days * DAY, origin }],
});
const waiting = (days: number): Partial<CertificateDocument> => ({
  phase: 'announced',
  since: NOW - days * DAY,
  until: NOW + DAY,
  waitingFor: ['hub1', 'hub2'],
});

describe('warnings of certificates', () => {
  it.each<[string, Partial<CertificateDocument>, string[]]>([
    ['all is well', {}, []],
    ['one of our own ends soon: it is followed by itself', ends(20), []],
    ['one of our own ends sooner: it has not been followed', ends(15), ['certificate.expiring']],
    ['one that was brought ends soon', ends(30, 'brought'), ['certificate.expiring']],
    ['one that was brought lasts', ends(31, 'brought'), []],
    ['expired', ends(0), ['certificate.expired']],
    [
      "a peer's has expired",
      { peers: [{ name: 'hub1', role: 'hub', fingerprint: 'bb', notAfter: NOW }] },
      ['certificate.expired'],
    ],
    [
      "a peer's cannot be read",
      { peers: [{ name: 'hub1', role: 'hub', fingerprint: 'bb', notAfter: undefined }] },
      [],
    ],
    ['a rollover that has just begun', waiting(0.9), []],
    ['a rollover that waits for a day', waiting(1), ['certificate.rollover-waiting']],
    ['nobody is waited for', { ...waiting(5), waitingFor: [] }, []],
    ['the files of the configuration', { unusable: 'it expired on 2026-05-01' }, ['certificate.unusable']],
    [
      'a key in the directory',
      { unproved: [{ role: 'hub', name: 'hub2', fingerprint: 'cc' }] },
      ['certificate.unproved'],
    ],
  ])('%s', (_what, change, codes) => {
    const warnings = certificateWarnings({ ...document, ...change });
    expect(warnings.map(({ code }) => code)).toEqual(codes);
    for (const { text, mend } of warnings) expect(`${text}. ${mend ?? ''}`).toMatch(/^.{20,}\. .{10,}$/);
  });

  it('name who is waited for, and what mends each kind of certificate', () => {
    expect(certificateWarnings({ ...document, ...waiting(2) })[0]?.text).toContain('hub1, hub2');
    for (const [origin, mend] of [
      ['own', 'postern cert renew'],
      ['brought', 'postern cert use CERTIFICATE --key KEY'],
      ['configured', '[identity]'],
    ] as const)
      expect(certificateWarnings({ ...document, ...ends(0, origin) })[0]?.mend).toContain(mend);
  });
});
