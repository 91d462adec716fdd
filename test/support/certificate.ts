/** Keys and certificates for tests, made by openssl (an implementation other than ours). */
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface TestCertificate {
  /** PEM */
  readonly certificate: string;
  /** PEM, PKCS#8 */
  readonly key: string;
  readonly der: Buffer;
}

export interface CertificateOptions {
  /** Common name and DNS name; `localhost` unless told (127.0.0.1 is always among the names). */
  name?: string;
  /** P-256 unless told. */
  algorithm?: 'P-256' | 'P-384' | 'RSA' | 'Ed25519';
  /** Issued by this one instead of self-signed. */
  issuer?: TestCertificate;
  /** An authority may issue others. */
  authority?: boolean;
  /** As openssl's -not_before and -not_after would: an already expired certificate. */
  expired?: boolean;
}

const NEW_KEY: Readonly<Record<NonNullable<CertificateOptions['algorithm']>, readonly string[]>> = {
  'P-256': ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  'P-384': ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  RSA: ['rsa:2048'],
  Ed25519: ['ed25519'],
};

export async function makeCertificate(options: CertificateOptions = {}): Promise<TestCertificate> {
  const name = options.name ?? 'localhost';
  const folder = await mkdtemp(join(tmpdir(), 'postern-cert-'));
  try {
    const at = (file: string): string => join(folder, file);
    const args = ['-newkey', ...NEW_KEY[options.algorithm ?? 'P-256'], '-nodes', '-keyout', at('key.pem')];
    await run('openssl', ['req', '-new', ...args, '-out', at('request.pem'), '-subj', `/CN=${name}`]);
    const extensions = [
      `subjectAltName=DNS:${name},IP:127.0.0.1`,
      `basicConstraints=critical,CA:${options.authority === true ? 'TRUE' : 'FALSE'}`,
    ];
    await writeFile(at('extensions'), `${extensions.join('\n')}\n`);
    const sign = [
      'x509',
      '-req',
      '-in',
      at('request.pem'),
      '-out',
      at('certificate.pem'),
      '-extfile',
      at('extensions'),
    ];
    const days = ['-days', options.expired === true ? '-1' : '30'];
    if (options.issuer === undefined) {
      await run('openssl', [...sign, ...days, '-signkey', at('key.pem')]);
    } else {
      await writeFile(at('issuer.pem'), options.issuer.certificate);
      await writeFile(at('issuer.key'), options.issuer.key, { mode: 0o600 });
      await run('openssl', [
        ...sign,
        ...days,
        '-CA',
        at('issuer.pem'),
        '-CAkey',
        at('issuer.key'),
        '-CAcreateserial',
      ]);
    }
    const certificate = await readFile(at('certificate.pem'), 'utf8');
    return {
      certificate,
      key: await readFile(at('key.pem'), 'utf8'),
      der: Buffer.from(new X509Certificate(certificate).raw),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
