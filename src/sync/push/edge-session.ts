/**
 * One authenticated connection to an edge: pinned TLS, then a bind with the best credential this hub has. Knows what a
 * session is, not what is pushed over it.
 */
import type { Clock } from '../../base/clock.ts';
import { isPosternError, PosternError } from '../../base/error.ts';
import type { Secret } from '../../base/secret.ts';
import { type Identity, tlsCredentials } from '../../certificate/identity.ts';
import { parseCertificate } from '../../certificate/parse.ts';
import { type PinSet, requirePin } from '../../certificate/pin.ts';
import { connectLdap, type LdapClient } from '../../ldap/client.ts';
import { resultCodeOf } from '../../ldap/client-error.ts';

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

/** TLS 1.3 to the edge; its key must be the pinned one before the first byte of LDAP is sent. */
export async function connectPinned(
  options: Omit<EdgeSessionOptions, 'name'> & { readonly name: string },
): Promise<LdapClient> {
  const { key, cert } = tlsCredentials(options.identity);
  try {
    return await connectLdap({
      target: { kind: 'tcp', host: options.host, port: options.port, tls: true },
      clock: options.clock,
      signal: options.signal,
      operationTimeoutMs: OPERATION_TIMEOUT_MS,
      tls: {
        trust: {
          kind: 'pinned',
          verifyPeer: (der) => void requirePin(options.pins, parseCertificate(der).pin, options.name),
        },
        certificate: cert,
        key: key.toString('utf8'),
      },
    });
  } catch (error) {
    if (isPosternError(error, 'pin.mismatch')) {
      throw new PosternError(
        'pin.mismatch',
        `what answers on ${options.host}:${options.port} is not edge ${options.name}: its key is another than the subscribed one`,
        {
          cause: error,
          hint: 'nothing was sent to it; somebody may be in between, or the edge was set up anew and needs a new subscription',
        },
      );
    }
    throw error;
  }
}
