/**
 * An LDAP server of the organisation (source, configuration directory): how it is reached, judged and bound to. Knows nothing of what is
 * asked of it.
 */
import { isIPv4 } from 'node:net';
import type { Clock } from '../base/clock.ts';
import { PosternError } from '../base/error.ts';
import { Secret } from '../base/secret.ts';
import { parseCertificate } from '../certificate/parse.ts';
import { formatFingerprint, type Pin, samePin } from '../certificate/pin.ts';
import { connectLdap, type LdapClient } from '../ldap/client.ts';
import type { TlsClientOptions } from '../ldap/tls.ts';
import { type LdapTarget, parseTarget } from '../ldap/transport-target.ts';

/** How the server's certificate is judged: by its key, or by authorities (PEM; the system's when left out). */
export type ServerTrust =
  | { readonly kind: 'pin'; readonly pin: Pin }
  | { readonly kind: 'authorities'; readonly authorities?: string };

export interface DirectoryServerOptions {
  /** The table of the configuration that names it, for messages: `source`. */
  readonly table: string;
  /** `ldaps://`, `ldap://` (with `startTls`, unless on this machine) or `ldapi://`. */
  readonly url: string;
  readonly startTls: boolean;
  readonly trust: ServerTrust;
  /** Empty: anonymous; over ldapi the user of this process (SASL EXTERNAL). */
  readonly bindDn: string;
  /** Asked at each attempt: an administrator who corrects it need not restart anything. */
  readonly password?: (() => Promise<Secret>) | undefined;
  readonly clock: Clock;
}

/** Longest silence while something is asked. */
export const ANSWER_WITHIN_MS = 30_000;

/** Throws `usage` for an address that is none, and for a password that would cross the network in clear text. */
export function parseServer(options: Omit<DirectoryServerOptions, 'clock' | 'trust'>): LdapTarget {
  const target = parseTarget(options.url);
  const bare = target.kind === 'tcp' && !target.tls && !options.startTls && !isLoopback(target.host);
  if (!bare || options.bindDn === '') return target;
  throw new PosternError('usage', `the password for ${options.url} would cross the network in clear text`, {
    hint: `use ldaps://, or set ${options.table}.start_tls`,
  });
}

/** A connection that is bound. Rejects as `connectLdap` and binds do, and with `pin.mismatch`, `canceled`. */
export async function connectServer(
  options: DirectoryServerOptions,
  signal: AbortSignal,
): Promise<LdapClient> {
  const target = parseServer(options);
  const tls = tlsOptions(options);
  const client = await connectLdap({
    target,
    clock: options.clock,
    signal,
    operationTimeoutMs: ANSWER_WITHIN_MS,
    ...(target.kind === 'tcp' && target.tls ? { tls } : {}),
  });
  // What waits for an answer here cannot be canceled by itself.
  const onAbort = (): void =>
    client.destroy(new PosternError('canceled', `connecting to ${options.url} was canceled`));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    if (options.startTls && target.kind === 'tcp' && !target.tls) await client.startTls(tls);
    if (options.bindDn !== '')
      await client.bind(options.bindDn, (await options.password?.()) ?? new Secret(''));
    else if (target.kind === 'unix') await client.bindExternal();
    return client;
  } catch (error) {
    client.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function tlsOptions({ trust, url, table }: DirectoryServerOptions): TlsClientOptions {
  // Unlike an edge, an organisation's directory may be old.
  const minVersion = 'TLSv1.2';
  if (trust.kind === 'authorities') return { minVersion, trust };
  const verifyPeer = (certificate: Buffer): void => {
    const found = parseCertificate(certificate).pin;
    if (samePin(found, trust.pin)) return;
    throw new PosternError('pin.mismatch', `${url} showed another key than the one in ${table}.pin`, {
      hint: `somebody may be in the middle; if the directory has a new key, put its pin into ${table}.pin`,
      fields: { expected: formatFingerprint(trust.pin), found: formatFingerprint(found) },
    });
  };
  return { minVersion, trust: { kind: 'pinned', verifyPeer } };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}
