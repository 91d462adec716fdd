/** What a TLS connection proves about its other end: the pin of the certificate whose key took part in this very handshake. */
import type { TLSSocket } from 'node:tls';
import { PosternError } from '../base/error.ts';
import { type Certificate, parseCertificate } from './parse.ts';

/**
 * The other end's certificate; undefined when it showed none. A resumed session is refused (`tls.failed`): it repeats the certificate of an earlier
 * handshake without proving its key (RFC 8446 §2.2). Throws `certificate.invalid` for a certificate that can't be used for pinning.
 */
export function peerCertificate(
  socket: Pick<TLSSocket, 'isSessionReused' | 'getPeerX509Certificate'>,
): Certificate | undefined {
  if (socket.isSessionReused()) {
    throw new PosternError('tls.failed', 'the TLS session was resumed; its certificate proves nothing', {
      hint: 'connect without session resumption',
    });
  }
  const certificate = socket.getPeerX509Certificate();
  return certificate === undefined ? undefined : parseCertificate(certificate.raw);
}
