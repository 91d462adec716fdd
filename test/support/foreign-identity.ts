/** Somebody else's keys and certificates, made by openssl: every kind that may be used as an identity, and some that may not. */
import { OpenSsl } from './openssl.ts';

export interface ForeignFiles {
  readonly kind: string;
  /** File names in the folder of the OpenSsl. */
  readonly key: string;
  readonly certificate: string;
}

const KEYS: Readonly<Record<string, readonly string[]>> = {
  'rsa-2048': ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
  'rsa-4096': ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:4096'],
  'p-256': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  'p-384': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  ed25519: ['-algorithm', 'ED25519'],
  'rsa-1024': ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024'],
  'p-521': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-521'],
  'rsa-pss': ['-algorithm', 'RSA-PSS', '-pkeyopt', 'rsa_keygen_bits:2048'],
  ed448: ['-algorithm', 'ED448'],
};

export const SUPPORTED = ['rsa-2048', 'rsa-4096', 'p-256', 'p-384', 'ed25519'] as const;
export const UNSUPPORTED = ['rsa-1024', 'p-521', 'rsa-pss', 'ed448'] as const;

/** A self-signed certificate with a new key of this kind. */
export async function selfSigned(
  tool: OpenSsl,
  kind: string,
  name = 'hub1.example.com',
): Promise<ForeignFiles> {
  const files = { kind, key: `${kind}.key`, certificate: `${kind}.pem` };
  await tool.run('genpkey', ...(KEYS[kind] ?? []), '-out', files.key);
  await tool.run(
    'req',
    '-x509',
    '-new',
    '-key',
    files.key,
    '-out',
    files.certificate,
    '-days',
    '30',
    '-subj',
    `/O=Example/CN=${name}`,
    '-addext',
    `subjectAltName=DNS:${name},IP:192.0.2.1`,
  );
  return files;
}

/** A certificate issued by an authority through an intermediate one; the file goes on with the chain. */
export async function issued(tool: OpenSsl, name = 'hub2.example.com'): Promise<ForeignFiles> {
  const ca = ['-CAcreateserial', '-days', '30'];
  await tool.put('ca.ext', 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n');
  await tool.put('leaf.ext', `subjectAltName=DNS:${name}\nextendedKeyUsage=serverAuth,clientAuth\n`);
  await tool.run(
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    'root.key',
    '-out',
    'root.pem',
    '-subj',
    '/CN=Root',
    '-days',
    '30',
  );
  await tool.run(
    'req',
    '-new',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    'middle.key',
    '-out',
    'middle.csr',
    '-subj',
    '/CN=Middle',
  );
  await tool.run(
    'x509',
    '-req',
    '-in',
    'middle.csr',
    '-out',
    'middle.pem',
    '-CA',
    'root.pem',
    '-CAkey',
    'root.key',
    '-extfile',
    'ca.ext',
    ...ca,
  );
  await tool.run(
    'req',
    '-new',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    'leaf.key',
    '-out',
    'leaf.csr',
    '-subj',
    `/CN=${name}`,
  );
  await tool.run(
    'x509',
    '-req',
    '-in',
    'leaf.csr',
    '-out',
    'leaf.only.pem',
    '-CA',
    'middle.pem',
    '-CAkey',
    'middle.key',
    '-extfile',
    'leaf.ext',
    ...ca,
  );
  await tool.put('leaf.pem', Buffer.concat([await tool.get('leaf.only.pem'), await tool.get('middle.pem')]));
  return { kind: 'issued', key: 'leaf.key', certificate: 'leaf.pem' };
}
