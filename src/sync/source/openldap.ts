/**
 * Feed from a provider of RFC 4533, such as slapd with the overlay syncprov: refresh, then changes as they happen, on one connection.
 * The protocol's meaning is in `sync-session.ts`; here are the connection, its security, and the proof that it is alive.
 */
import { isIPv4 } from 'node:net';
import { type Clock, yieldToLoop } from '../../base/clock.ts';
import { PosternError } from '../../base/error.ts';
import { Secret } from '../../base/secret.ts';
import { parseCertificate } from '../../certificate/parse.ts';
import { formatFingerprint, type Pin, samePin } from '../../certificate/pin.ts';
import { resultCodeOf } from '../../ldap/client-error.ts';
import { connectLdap, type LdapClient } from '../../ldap/client.ts';
import { CONTROL } from '../../ldap/control.ts';
import { parseFilter } from '../../ldap/filter.ts';
import type { Filter } from '../../ldap/message.ts';
import { encodeSyncRequest } from '../../ldap/sync-values.ts';
import type { TlsClientOptions } from '../../ldap/tls.ts';
import { type LdapTarget, parseTarget } from '../../ldap/transport-target.ts';
import { sourceFailure } from './source-error.ts';
import type { Feed, FeedEvent, FeedIdentity } from './source.ts';
import { finish, receive, startSync } from './sync-session.ts';
import { Watch } from './watch.ts';

/** How the provider's certificate is judged: by its key, or by authorities (PEM; the system's when left out). */
export type SourceTrust =
  | { readonly kind: 'pin'; readonly pin: Pin }
  | { readonly kind: 'authorities'; readonly authorities?: string };

export interface OpenLdapOptions {
  /** `ldaps://`, `ldap://` (with `startTls`, unless on this machine) or `ldapi://`. */
  readonly url: string;
  readonly startTls: boolean;
  readonly trust: SourceTrust;
  /** Empty: anonymous; over ldapi the user of this process (SASL EXTERNAL). */
  readonly bindDn: string;
  readonly password?: Secret | undefined;
  readonly base: string;
  /** RFC 4515. */
  readonly filter: string;
  readonly attributes: readonly string[];
  /** Name and fingerprint of the mapping (`mappingIdentity`): part of what a cookie is worth. */
  readonly mapping: string;
  readonly clock: Clock;
  /** Time between two proofs that a silent provider is alive, milliseconds; a minute unless told. */
  readonly probeEveryMs?: number;
}

/** Entries handed on before others have their turn: some milliseconds of work. */
const ITEMS_A_TURN = 512;
/** Longest silence while something is asked. */
const ANSWER_WITHIN_MS = 30_000;

/** Throws `usage` for an address or filter that is none, and for a password that would cross the network in clear text. */
export function openLdapFeed(options: OpenLdapOptions): Feed {
  const target = parseTarget(options.url);
  const filter = parseFilter(options.filter);
  requireSecrecy(target, options);
  const identity: FeedIdentity = {
    kind: 'openldap',
    instance: options.url,
    base: options.base,
    filter: options.filter,
    attributes: options.attributes,
    bindIdentity: options.bindDn,
    mapping: options.mapping,
  };
  return {
    identity,
    live: true,
    follow: (cookie, signal) => follow(options, target, filter, cookie, signal),
  };
}

async function* follow(
  options: OpenLdapOptions,
  target: LdapTarget,
  filter: Filter,
  cookie: Buffer | undefined,
  signal: AbortSignal,
): AsyncGenerator<readonly FeedEvent[], void, undefined> {
  let client: LdapClient | undefined;
  try {
    client = await open(options, target, signal);
    for (let from = cookie; ; from = undefined) {
      const end = yield* search(client, options, filter, from, signal);
      if (end === 'over') return;
    }
  } catch (error) {
    throw sourceFailure(error, options.url);
  } finally {
    client?.unbind();
  }
}

/** A connection that is bound. */
async function open(options: OpenLdapOptions, target: LdapTarget, signal: AbortSignal): Promise<LdapClient> {
  const tls = tlsOptions(options.trust, options.url);
  const client = await connectLdap({
    target,
    clock: options.clock,
    signal,
    operationTimeoutMs: ANSWER_WITHIN_MS,
    ...(target.kind === 'tcp' && target.tls ? { tls } : {}),
  });
  // What waits for an answer here cannot be canceled by itself.
  const onAbort = (): void =>
    client.destroy(new PosternError('canceled', 'connecting to the source was canceled'));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    if (options.startTls && target.kind === 'tcp' && !target.tls) await client.startTls(tls);
    if (options.bindDn !== '') await client.bind(options.bindDn, options.password ?? new Secret(''));
    else if (target.kind === 'unix') await client.bindExternal();
    return client;
  } catch (error) {
    client.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** One search until it ends. An empty array of events: nothing new, but the provider has just answered. */
async function* search(
  client: LdapClient,
  options: OpenLdapOptions,
  filter: Filter,
  cookie: Buffer | undefined,
  signal: AbortSignal,
): AsyncGenerator<readonly FeedEvent[], 'again' | 'over', undefined> {
  const request = encodeSyncRequest({
    mode: 'refreshAndPersist',
    reloadHint: false,
    ...(cookie === undefined ? {} : { cookie }),
  });
  const stream = client.search(
    { base: options.base, filter, attributes: options.attributes },
    {
      controls: [{ oid: CONTROL.syncRequest, critical: true, value: request }],
      timeoutMs: 'never',
      signal,
    },
  );
  const items = stream.batches();
  let session = startSync(cookie);
  const watch = new Watch(client, options, () => session.stage);
  try {
    for (let next = nextOf(items); ; ) {
      const batch = await watch.during(next);
      if (batch === undefined) {
        yield [];
        continue;
      }
      if (batch.done === true) break;
      watch.heard();
      for (let at = 0; at < batch.value.length; at += ITEMS_A_TURN) {
        const events: FeedEvent[] = [];
        for (const item of batch.value.slice(at, at + ITEMS_A_TURN)) session = receive(session, item, events);
        yield events;
        // A refresh comes as fast as it is read; the pushes to the edges need their turns meanwhile.
        if (session.stage === 'refresh') await yieldToLoop();
      }
      next = nextOf(items);
    }
  } catch (error) {
    // A result other than success: its meaning is decided below.
    if (resultCodeOf(error) === undefined) throw error;
  } finally {
    watch.stop();
    stream.cancel();
  }
  const { operation, controls } = await stream.done;
  const events: FeedEvent[] = [];
  const end = finish(session, operation.result, controls, events);
  yield events;
  return end;
}

/** Asked for ahead of time; nobody may be left to hear of its failure. */
function nextOf<T>(items: AsyncIterator<T, void, undefined>): Promise<IteratorResult<T, void>> {
  const next = items.next();
  next.catch(() => undefined);
  return next;
}

function tlsOptions(trust: SourceTrust, where: string): TlsClientOptions {
  // Unlike an edge, an organisation's directory may be old.
  const minVersion = 'TLSv1.2';
  if (trust.kind === 'authorities') return { minVersion, trust };
  const verifyPeer = (certificate: Buffer): void => {
    const found = parseCertificate(certificate).pin;
    if (samePin(found, trust.pin)) return;
    throw new PosternError('pin.mismatch', `${where} showed another key than the one in source.pin`, {
      hint: 'somebody may be in the middle; if the directory has a new key, put its pin into source.pin',
      fields: { expected: formatFingerprint(trust.pin), found: formatFingerprint(found) },
    });
  };
  return { minVersion, trust: { kind: 'pinned', verifyPeer } };
}

/** A password crosses the network inside TLS only. */
function requireSecrecy(target: LdapTarget, options: OpenLdapOptions): void {
  const bare = target.kind === 'tcp' && !target.tls && !options.startTls && !isLoopback(target.host);
  if (!bare || options.bindDn === '') return;
  throw new PosternError('usage', `the password for ${options.url} would cross the network in clear text`, {
    hint: 'use ldaps://, or set source.start_tls',
  });
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}
