/**
 * What an import asks of the network before anything is written: does the edge's name resolve, does its port answer, is it TLS, is
 * the key the file's, does the edge take its account. Each failure says which of them it was.
 */
import { lookup } from 'node:dns/promises';
import type { Clock } from '../../base/clock.ts';
import { isPosternError, PosternError } from '../../base/error.ts';
import { formatFingerprint } from '../../certificate/pin.ts';
import { verifyClaim } from '../../certificate/statement.ts';
import type { HubNode } from '../../credential/issue.ts';
import type { LdapClient } from '../../ldap/client.ts';
import { resultCodeOf } from '../../ldap/client-error.ts';
import { isBelowLocalhost } from '../../ldap/loopback-name.ts';
import { openFilePassword } from '../../subscription/import.ts';
import type { ValidatedSubscription } from '../../subscription/validate.ts';
import { connectPinned } from '../../sync/push/edge-session.ts';

export interface TrialOptions {
  readonly hub: HubNode;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

const NOTHING_CHANGED = 'nothing was changed; after that, import the file again';
const NO_SUCH_OBJECT = 32;
/** One sealing key is looked for; an edge that goes on answering is not listened to. */
const MOST_STATEMENTS = 16;

/** Resolves to the edge's sealing statement when the file is not signed and has none, else to undefined. */
export async function tryEdge(
  subscription: ValidatedSubscription,
  options: TrialOptions,
): Promise<{ readonly sealingStatement: Uint8Array } | undefined> {
  const { file, edgeFqdn, edgeName, pin } = subscription;
  const where = `${edgeFqdn}:${file.port}`;
  const addresses = await resolve(edgeFqdn);
  let client: LdapClient;
  try {
    const { hub, clock, signal } = options;
    const pins = { current: pin };
    client = await connectPinned({
      name: edgeName,
      host: edgeFqdn,
      port: file.port,
      pins,
      identity: hub.identity,
      clock,
      signal,
    });
  } catch (error) {
    throw explain(error, where, addresses, formatFingerprint(pin));
  }
  try {
    await tryBind(client, subscription, options);
    return file.signed ? undefined : await sealingStatement(client, subscription);
  } finally {
    client.unbind();
  }
}

async function resolve(host: string): Promise<string> {
  if (isBelowLocalhost(host)) return 'this machine';
  try {
    const found = await lookup(host, { all: true });
    return found.map(({ address }) => address).join(', ');
  } catch (cause) {
    throw new PosternError('name.unresolvable', `the edge's name ${host} does not resolve on this hub`, {
      cause,
      hint: `add ${host} to the internal DNS or to /etc/hosts of this hub; ${NOTHING_CHANGED}`,
      fields: { check: 'name', host },
    });
  }
}

function explain(error: unknown, where: string, addresses: string, expected: string): unknown {
  if (!isPosternError(error)) return error;
  const say = (check: string, message: string, hint: string): PosternError =>
    new PosternError(error.code, message, {
      cause: error,
      hint: `${hint}; ${NOTHING_CHANGED}`,
      fields: { ...error.fields, check, where },
    });
  switch (error.code) {
    case 'connect.failed':
      return say(
        'port',
        `the edge's name resolves (to ${addresses}), but ${where} does not answer`,
        error.hint ?? 'is "postern edge run" running there, and does the firewall let this hub through?',
      );
    case 'tls.failed':
      return say(
        'tls',
        `${where} answers, but TLS with it fails`,
        error.hint ?? 'does something else listen on this port?',
      );
    case 'pin.mismatch':
      return say(
        'key',
        `${where} answers with TLS, but it shows another key than the file's (${expected})`,
        'the file is of another edge or of an earlier key of this one, or somebody is in between: make a new file there and compare the fingerprint',
      );
    default:
      return error;
  }
}

/** Binds with the file's password: a file that was used, or that a newer one has replaced, is refused here and not by endless attempts later. */
async function tryBind(
  client: LdapClient,
  { file }: ValidatedSubscription,
  { hub }: TrialOptions,
): Promise<void> {
  const password = await openFilePassword(file, hub);
  try {
    await client.bind(`cn=${file.userName},cn=Accounts`, password);
  } catch (cause) {
    if (resultCodeOf(cause) === undefined) throw cause;
    throw new PosternError('credential.invalid', `the edge does not take the account of the file`, {
      cause,
      hint: 'the file was used already, or a newer one was made on the edge, or it was altered: make a new one there; nothing was changed',
      fields: { check: 'bind' },
    });
  }
}

/** Of an edge whose file is not signed: without a sealing key nothing can be handed to it. */
async function sealingStatement(
  client: LdapClient,
  { pin, edgeFqdn }: ValidatedSubscription,
): Promise<{ readonly sealingStatement: Uint8Array }> {
  for (const statement of await readStatements(client)) {
    try {
      verifyClaim(statement, pin, 'sealingKey', edgeFqdn);
      return { sealingStatement: statement };
    } catch (error) {
      if (!isPosternError(error)) throw error;
    }
  }
  throw new PosternError('refused', 'the file is not signed, and the edge states no sealing key', {
    hint: 'nothing secret can be handed to this edge: make the file with "postern subscription create" there; nothing was changed',
    fields: { check: 'sealing key' },
  });
}

async function readStatements(client: LdapClient): Promise<Buffer[]> {
  const statements: Buffer[] = [];
  try {
    const search = client.search(
      { base: 'cn=Configuration', attributes: ['posternStatement'], sizeLimit: 1, scope: 'base' },
      { accept: [NO_SUCH_OBJECT] },
    );
    for await (const { operation } of search) {
      if (operation.op !== 'searchResultEntry') continue;
      for (const { values } of operation.attributes)
        statements.push(...values.slice(0, MOST_STATEMENTS).map((one) => Buffer.from(one)));
      if (statements.length > 0) break;
    }
  } catch (error) {
    if (resultCodeOf(error) === undefined) throw error;
  }
  return statements;
}
