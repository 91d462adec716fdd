/**
 * TLS as a client: a pinned peer, or one certified by an authority. No session is ever offered or resumed: a resumed one would carry
 * the peer's earlier certificate without a proof of its key. Knows nothing of pins (the caller's `verifyPeer` does) or LDAP.
 */
import { type KeyObject, constants } from 'node:crypto';
import { isIP, type Socket } from 'node:net';
import { connect, type SecureVersion, TLSSocket } from 'node:tls';
import type { Clock } from '../base/clock.ts';
import { PosternError } from '../base/error.ts';
import { Secret } from '../base/secret.ts';

/** PEM, or a key object. */
export type PrivateKey = Secret | string | KeyObject;

export interface TlsClientOptions {
  /**
   * `verifyPeer` is called with the peer's certificate (DER), after the peer has proved its key and before anything is sent to it;
   * it throws to refuse. Chain, expiry and names are then its own business.
   */
  readonly trust:
    | { readonly kind: 'pinned'; readonly verifyPeer: (certificate: Buffer) => void }
    | {
        readonly kind: 'authorities';
        readonly authorities?: string | readonly string[];
        readonly serverName?: string;
      };
  /** Own certificate (PEM, chain allowed) and its key. */
  readonly certificate?: string;
  readonly key?: PrivateKey;
  /** TLSv1.3 for pinned peers, else TLSv1.2, unless told. */
  readonly minVersion?: SecureVersion;
}

export interface TlsHandshake {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Name or address the connection was opened to. */
  readonly host?: string;
  readonly signal?: AbortSignal;
}

/** Material for `createSecureContext`, shared with the server side. */
export function keyMaterial(key: PrivateKey): { key: string | Buffer } {
  if (typeof key === 'string') return { key };
  if (key instanceof Secret) return { key: key.reveal() };
  return { key: key.export({ type: 'pkcs8', format: 'pem' }) };
}

/** Never a session ticket, never a renegotiation. */
export const SECURE_OPTIONS = constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION;

/**
 * Makes a TLS connection of a connected socket. Nothing but the handshake has been sent when it resolves. Rejects with `tls.failed`,
 * `canceled`, or what `verifyPeer` threw; the socket is destroyed then.
 */
export function secureSocket(
  raw: Socket,
  options: TlsClientOptions,
  handshake: TlsHandshake,
): Promise<TLSSocket> {
  const { trust } = options;
  return new Promise((resolve, reject) => {
    let secured: TLSSocket | undefined;
    const settle = (error?: unknown): void => {
      timer.cancel();
      handshake.signal?.removeEventListener('abort', onAbort);
      secured?.off('secureConnect', onSecure).off('error', onError).off('close', onClose);
      if (error === undefined) return resolve(secured as TLSSocket);
      secured?.destroy();
      raw.destroy();
      reject(error as Error);
    };
    const timer = handshake.clock.after('ldap.tls', handshake.timeoutMs, () =>
      settle(
        new PosternError('tls.failed', `no TLS handshake within ${Math.round(handshake.timeoutMs)} ms`, {
          hint: 'does the server speak TLS on this port? (plain LDAP waits silently)',
        }),
      ),
    );
    const onAbort = (): void => settle(new PosternError('canceled', 'the TLS handshake was canceled'));
    const onError = (error: Error): void => settle(tlsError(error));
    const onClose = (): void =>
      settle(tlsError(Object.assign(new Error('closed by the peer'), { code: 'ECONNRESET' })));
    const onSecure = (): void => {
      try {
        check(secured as TLSSocket, trust);
        settle();
      } catch (error) {
        settle(error);
      }
    };
    if (handshake.signal?.aborted === true) return onAbort();
    if (raw.destroyed) return onClose();
    handshake.signal?.addEventListener('abort', onAbort, { once: true });
    try {
      secured = connect({
        socket: raw,
        minVersion: options.minVersion ?? (trust.kind === 'pinned' ? 'TLSv1.3' : 'TLSv1.2'),
        secureOptions: SECURE_OPTIONS,
        ...names(trust, handshake.host),
        ...(options.certificate === undefined ? {} : { cert: options.certificate }),
        ...(options.key === undefined ? {} : keyMaterial(options.key)),
      });
    } catch (error) {
      return settle(tlsError(error as Error));
    }
    // An error that nobody waits for any more must not end the process.
    secured.on('error', () => undefined);
    secured.once('secureConnect', onSecure).once('error', onError).once('close', onClose);
  });
}

function names(trust: TlsClientOptions['trust'], host: string | undefined): object {
  const serverName = (trust.kind === 'authorities' ? trust.serverName : undefined) ?? host;
  const sni = serverName === undefined || isIP(serverName) !== 0 ? {} : { servername: serverName };
  if (trust.kind === 'pinned') return { ...sni, rejectUnauthorized: false, ca: [] };
  return {
    ...sni,
    host: serverName ?? 'localhost',
    rejectUnauthorized: true,
    ...(trust.authorities === undefined ? {} : { ca: [trust.authorities].flat() }),
  };
}

function check(socket: TLSSocket, trust: TlsClientOptions['trust']): void {
  if (socket.isSessionReused())
    throw new PosternError('tls.failed', 'the server resumed a session that was never offered');
  if (trust.kind === 'authorities') {
    // Node has refused already; this is the second lock on the same door.
    if (!socket.authorized) throw tlsError(socket.authorizationError ?? new Error('peer not authorized'));
    return;
  }
  const certificate = peerCertificate(socket);
  if (certificate === undefined) throw new PosternError('tls.failed', 'the server shows no certificate');
  trust.verifyPeer(certificate);
}

const certificates = new WeakMap<Socket, Buffer>();

/** DER of the peer's certificate. Remembered, because a client's socket gives it out only once (Node 20 to 24). */
export function peerCertificate(socket: Socket): Buffer | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  const known = certificates.get(socket);
  if (known !== undefined) return known;
  const certificate = socket.getPeerX509Certificate()?.raw;
  if (certificate !== undefined) certificates.set(socket, certificate);
  return certificate;
}

/** Keying material of the TLS session (RFC 5705, RFC 8446 §7.5), the same at both ends and in no other session; undefined without TLS. */
export function exportKeyingMaterial(socket: Socket, length: number, label: string): Buffer | undefined {
  // Without a context, which TLS 1.3 does not tell from an empty one.
  return socket instanceof TLSSocket
    ? socket.exportKeyingMaterial(length, label, Buffer.alloc(0))
    : undefined;
}

const HINTS: readonly (readonly [RegExp, string])[] = [
  [
    /WRONG_VERSION_NUMBER|PACKET_LENGTH|HTTP_REQUEST|RECORD_TOO/,
    'the server does not speak TLS on this port (plain LDAP? use ldap:// or another port)',
  ],
  [/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/, 'the two sides have no TLS version in common'],
  [
    /ALTNAME/,
    "the server's certificate names another host: connect by a name it contains, or set the server name",
  ],
  [/EXPIRED/, "the server's certificate has expired"],
  [/NOT_YET_VALID/, "the server's certificate is not yet valid: compare the clocks of both machines"],
  [
    /SELF_SIGNED|UNABLE_TO|LEAF_SIGNATURE|ISSUER/,
    "the authority of the server's certificate is not trusted: name its certificate in the configuration",
  ],
  [
    /ECONNRESET|EPIPE|UNEXPECTED_EOF/,
    'the server ended the handshake: is this its LDAPS port? Else look in its log',
  ],
];

/** An error of Node's TLS, or a verification failure, in our terms. */
export function tlsError(error: Error | string): PosternError {
  const cause = typeof error === 'string' ? Object.assign(new Error(error), { code: error }) : error;
  const raw = (cause as { code?: unknown }).code;
  const systemCode = typeof raw === 'string' ? raw : 'unknown';
  const hint = HINTS.find(([pattern]) => pattern.test(systemCode))?.[1];
  const reason = (cause as { reason?: unknown }).reason;
  // Node adds what to do about it in its own terms, which are no use here.
  const message = typeof reason === 'string' ? reason : cause.message.replace(/; if the root CA .*$/, '');
  return new PosternError('tls.failed', `TLS with the server failed: ${message.slice(0, 300)}`, {
    ...(typeof reason === 'string' ? { cause } : {}),
    fields: { systemCode },
    ...(hint === undefined ? {} : { hint }),
  });
}
