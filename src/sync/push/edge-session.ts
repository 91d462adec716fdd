/**
 * One authenticated connection to an edge: pinned TLS, then a bind with the best credential this hub has. Knows what a
 * session is, not what is pushed over it.
 */
import type { Clock } from '../../base/clock.ts';
import { isPosternError, PosternError } from '../../base/error.ts';
import type { Secret } from '../../base/secret.ts';
import { DecodeError } from '../../base/decode-error.ts';
import { type Identity, tlsCredentials } from '../../certificate/identity.ts';
import { parseCertificate } from '../../certificate/parse.ts';
import { type PinSet, requirePin } from '../../certificate/pin.ts';
import { connectLdap, type LdapClient } from '../../ldap/client.ts';
import { resultCodeOf } from '../../ldap/client-error.ts';
import { type LinkIdentities, tellIdentities } from './edge-identity.ts';

/** The bootstrap account of an edge; `open` reveals the password only when it is needed. */
export interface BootstrapCredential {
  readonly userName: string;
  readonly open: () => Promise<Secret>;
}

export interface EdgeSessionOptions {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly pins: PinSet;
  readonly identity: Identity;
  /** How pins and keys follow a rollover; without it they stay as they are. */
  readonly identities?: LinkIdentities | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Bound as an ESRA. */
export interface EdgeSession {
  readonly client: LdapClient;
  readonly userName: string;
}

const INVALID_CREDENTIALS = 49;
/** An edge that says nothing for so long is as good as gone. */
const OPERATION_TIMEOUT_MS = 60_000;

/** Undefined when the edge does not take the bootstrap account (any more). */
export async function openBootstrapSession(
  options: EdgeSessionOptions,
  credential: BootstrapCredential,
): Promise<LdapClient | undefined> {
  const client = await connectPinned(options);
  const password = await credential.open();
  try {
    await client.bind(`cn=${credential.userName},cn=Accounts`, password);
    return client;
  } catch (error) {
    client.destroy();
    if (resultCodeOf(error) !== INVALID_CREDENTIALS) throw error;
    return undefined;
  } finally {
    password.erase();
  }
}

/**
 * TLS 1.3 to the edge; its key must be a pinned one before the first byte of LDAP is sent. An edge that shows another key is asked for its own word: when
 * that leads from the pinned key to the one it shows, the pins have followed and it is connected to once more. Whoever has no such word was sent
 * nothing but the question.
 */
export async function connectPinned(options: EdgeSessionOptions): Promise<LdapClient> {
  const { identities, name, host, port } = options;
  let { pins } = options;
  for (let again = identities !== undefined; ; again = false) {
    try {
      const client = await connect(options, (der) => requirePin(pins, parseCertificate(der).pin, name));
      if (identities?.introduces === true) await tellIdentities(client, identities.told());
      return client;
    } catch (error) {
      if (!isPosternError(error, 'pin.mismatch')) throw error;
      const followed = again && identities !== undefined ? await ask(options, identities) : undefined;
      if (followed === undefined)
        throw new PosternError(
          'pin.mismatch',
          `what answers on ${host}:${port} is not edge ${name}: its key is another than the subscribed one`,
          {
            cause: error,
            hint: 'it was asked for its own word, and had none; nothing else was sent to it: somebody may be in between, or the edge was set up anew and needs a new subscription',
          },
        );
      pins = followed;
    }
  }
}

/** Without a bind, on a connection of its own: whoever it is may answer. */
async function ask(options: EdgeSessionOptions, identities: LinkIdentities): Promise<PinSet | undefined> {
  const client = await connect(options, () => undefined);
  try {
    const { peerCertificate } = client;
    const heard = await tellIdentities(client, { statements: [], holds: [] });
    if (heard === undefined || peerCertificate === undefined) return undefined;
    return await identities.follow(heard.statements, parseCertificate(peerCertificate).pin);
  } catch (error) {
    // What a stranger says is no reason for another failure than that it is one.
    if (isPosternError(error) || error instanceof DecodeError) return undefined;
    throw error;
  } finally {
    client.destroy();
  }
}

function connect(
  options: Pick<EdgeSessionOptions, 'host' | 'port' | 'identity' | 'clock' | 'signal'>,
  verifyPeer: (der: Buffer) => unknown,
): Promise<LdapClient> {
  const { key, cert } = tlsCredentials(options.identity);
  return connectLdap({
    target: { kind: 'tcp', host: options.host, port: options.port, tls: true },
    clock: options.clock,
    signal: options.signal,
    operationTimeoutMs: OPERATION_TIMEOUT_MS,
    tls: {
      trust: { kind: 'pinned', verifyPeer: (der) => void verifyPeer(der) },
      certificate: cert,
      key: key.toString('utf8'),
    },
  });
}
