/** PEM framing (RFC 7468): finding the blocks of a file and writing one. Knows nothing of what is inside. */
import { PosternError } from '../base/error.ts';

const MOST_CERTIFICATES = 16;

export function pemOf(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

interface Block {
  label: string;
  start: number;
  end: number;
  /** Base64 between the lines. */
  content: Buffer;
}

/** Every CERTIFICATE block, as DER, in order. Throws `certificate.invalid` when there is none, or too many. */
export function certificatesFromPem(text: Buffer): Buffer[] {
  const found = blocks(text).filter(({ label }) => label === 'CERTIFICATE');
  if (found.length === 0)
    throw new PosternError('certificate.invalid', 'there is no certificate in the file', {
      hint: 'it must be PEM: -----BEGIN CERTIFICATE-----',
    });
  if (found.length > MOST_CERTIFICATES)
    throw new PosternError('certificate.invalid', `more than ${MOST_CERTIFICATES} certificates in the file`);
  return found.map(({ content }) => Buffer.from(content.toString('latin1'), 'base64'));
}

/** The one private key block, as PEM. Throws `certificate.invalid` when there is none, several, or an encrypted one. */
export function privateKeyFromPem(text: Buffer): Buffer {
  const found = blocks(text).filter(({ label }) => label.endsWith('PRIVATE KEY'));
  const block = found[0];
  if (block === undefined)
    throw new PosternError('certificate.invalid', 'there is no private key in the file', {
      hint: 'it must be PEM: -----BEGIN PRIVATE KEY-----',
    });
  if (found.length > 1)
    throw new PosternError('certificate.invalid', 'there are several private keys in the file');
  if (block.label.startsWith('ENCRYPTED') || block.content.includes('Proc-Type:')) {
    throw new PosternError('certificate.invalid', 'the private key is encrypted', {
      hint: 'remove the passphrase (openssl pkey -in KEY -out PLAIN) and keep the file readable by the daemon only',
    });
  }
  return text.subarray(block.start, block.end);
}

function blocks(text: Buffer): Block[] {
  const found: Block[] = [];
  const begin = Buffer.from('-----BEGIN ');
  const dashes = Buffer.from('-----');
  for (let start = text.indexOf(begin); start >= 0; start = text.indexOf(begin, start + 1)) {
    const labelEnd = text.indexOf(dashes, start + begin.length);
    if (labelEnd < 0 || labelEnd - start > 64) continue;
    const label = text.toString('latin1', start + begin.length, labelEnd);
    const end = Buffer.from(`-----END ${label}-----`);
    const at = text.indexOf(end, labelEnd);
    if (at < 0) throw new PosternError('certificate.invalid', 'a PEM block has no end');
    found.push({ label, start, end: at + end.length, content: text.subarray(labelEnd + dashes.length, at) });
    start = at + end.length - 1;
  }
  return found;
}
