/**
 * Bind (RFC 4511 §4.2, RFC 4513): what is decided before the owner's `authenticate` is asked, the waiting that failures cost, and
 * that nothing else is read meanwhile.
 */
import type { Clock } from '../../base/clock.ts';
import type { BindRequest, Control } from '../../ldap/message.ts';
import { RESULT_CODE } from '../../ldap/result-code.ts';
import type { AuthenticateResult } from '../hooks.ts';
import { refuse, resultOf, SUCCESS } from '../refusal.ts';
import { resultOfError } from './answer.ts';
import type { Client } from './client.ts';

const NO_ACCOUNTS: AuthenticateResult = { result: resultOf('invalidCredentials') };
const INTERNAL: AuthenticateResult = { result: resultOf('other', 'internal error') };

/** Begins a bind. Refusals are thrown. */
export function startBind(
  client: Client,
  messageId: number,
  request: BindRequest,
  controls: readonly Control[],
): void {
  client.startOver();
  const own = client.directory.hooks.controls;
  const unknown = controls.find(({ critical, oid }) => critical && own?.includes(oid) !== true);
  if (unknown !== undefined)
    refuse('unavailableCriticalExtension', `control ${unknown.oid} is not supported here`);
  if (request.version !== 3) refuse('protocolError', 'only LDAP version 3 is spoken here');
  const { authentication, name } = request;
  if (
    authentication.kind === 'sasl' &&
    !client.server.saslMechanisms.includes(authentication.mechanism.toUpperCase())
  ) {
    refuse('authMethodNotSupported', 'this SASL mechanism is not supported');
  }
  if (authentication.kind === 'simple' && authentication.password.length === 0) {
    // RFC 4513 §5.1.2: a name without password is a client's mistake, not a proof.
    if (name !== '')
      refuse('unwillingToPerform', 'unauthenticated bind (name without password) is not allowed');
    return client.answer('bindRequest', messageId, SUCCESS);
  }
  // RFC 4511 §4.2.1: no other request is looked at before the answer.
  client.connection.pause();
  judge(client, request, controls).then(
    (outcome) => finish(client, messageId, outcome),
    (error: unknown) => {
      client.directory.log.error('a bind failed', { error });
      finish(client, messageId, INTERNAL);
    },
  );
  return undefined;
}

function finish(client: Client, messageId: number, outcome: AuthenticateResult): void {
  const { connection } = client;
  if (!connection.open) return;
  if ('identity' in outcome) client.become(outcome.identity);
  client.answer('bindRequest', messageId, 'identity' in outcome ? SUCCESS : outcome.result, outcome.controls);
  connection.resume();
}

async function judge(
  client: Client,
  request: BindRequest,
  controls: readonly Control[],
): Promise<AuthenticateResult> {
  const { directory, server, session } = client;
  const { clock, hooks, log } = directory;
  const { throttle } = server;
  const { remoteAddress } = client.connection;
  const before = throttle.waiting(remoteAddress, clock.monotonic());
  if (before > 0) await pause(clock, before);
  let outcome = NO_ACCOUNTS;
  try {
    const { name, authentication } = request;
    outcome = (await hooks.authenticate?.({ name, authentication, controls, session })) ?? NO_ACCOUNTS;
  } catch (error) {
    const result = resultOfError(error);
    if (result === undefined) log.error('judging a bind failed', { error });
    outcome = result === undefined ? INTERNAL : { result };
  }
  if ('identity' in outcome) throttle.succeeded(remoteAddress);
  else if (outcome.result.code === RESULT_CODE.invalidCredentials) {
    const delay = throttle.failed(remoteAddress, clock.monotonic());
    if (delay > 0) await pause(clock, delay);
  }
  return outcome;
}

/** Keeps no process alive. */
export function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after('directory.bind-throttle', ms, resolve, { background: true });
  });
}
