/** The name that charon gives a key: hexadecimal SHA-1 of the subjectPublicKey (RFC 5280 §4.2.1.2, method 1), without the structure around it. */
import { createHash } from 'node:crypto';
import { PosternError } from '../base/error.ts';
import type { Certificate } from '../certificate/parse.ts';

export function keyIdOfCertificate({ spki }: Pick<Certificate, 'spki'>): string {
  // SEQUENCE { algorithm SEQUENCE, subjectPublicKey BIT STRING }, strict DER already: the certificate was read by the strict reader.
  const outer = header(spki, 0);
  const bits = header(
    spki,
    outer.start + header(spki, outer.start).length + (header(spki, outer.start).start - outer.start),
  );
  return createHash('sha1')
    .update(spki.subarray(bits.start + 1, bits.start + bits.length))
    .digest('hex');
}

/** Where an element's content starts, and how long it is. */
function header(bytes: Buffer, at: number): { start: number; length: number } {
  const first = bytes[at + 1] ?? 0;
  const count = first < 0x80 ? 0 : first & 0x7f;
  if (count > 3 || at + 2 + count > bytes.length)
    throw new PosternError('internal', 'not a SubjectPublicKeyInfo');
  return { start: at + 2 + count, length: count === 0 ? first : bytes.readUIntBE(at + 2, count) };
}
