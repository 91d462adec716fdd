/** Password modify (RFC 3062): what is decided before the owner's `changePassword` is asked, and what guessing an old password costs. */
import { Secret } from '../../base/secret.ts';
import { decodePasswordModifyRequest, encodePasswordModifyResponse } from '../../ldap/extended-values.ts';
import { RESULT_CODE } from '../../ldap/result-code.ts';
import type { ExtendedReply, PasswordChange } from '../hooks.ts';
import { refuse, resultOf } from '../refusal.ts';
import { ANONYMOUS_ROLE } from '../session.ts';
import { pause } from './bind.ts';
import type { Client } from './client.ts';

/** `remoteAddress` of somebody on this machine. */
const LOOPBACK = /^(?:::ffff:)?127\.|^::1$/;
/** Octets of a password that is looked at: more would only cost time. */
const LONGEST_PASSWORD = 1024;

/** Refusals are thrown. */
export function modifyPassword(client: Client, value: Buffer | undefined): Promise<ExtendedReply> {
  const { session, directory, connection } = client;
  const { identity } = session;
  if (directory.hooks.changePassword === undefined)
    refuse('protocolError', 'passwords are not changed by LDAP here');
  if (identity.role === ANONYMOUS_ROLE)
    refuse('strongerAuthRequired', 'only who is bound may change a password');
  if (!connection.secure && connection.localKind !== 'ldapi' && !LOOPBACK.test(connection.remoteAddress))
    refuse('confidentialityRequired', 'passwords are changed over TLS only');
  const { userIdentity, oldPassword, newPassword } = decodePasswordModifyRequest(value);
  for (const password of [oldPassword, newPassword])
    if (password !== undefined && (password.length === 0 || password.length > LONGEST_PASSWORD))
      refuse('constraintViolation', `a password has 1 to ${LONGEST_PASSWORD} octets`);
  return change(client, {
    userIdentity,
    identity,
    old: oldPassword === undefined ? undefined : new Secret(oldPassword),
    wanted: newPassword === undefined ? undefined : new Secret(newPassword),
    session,
  });
}

async function change(client: Client, request: PasswordChange): Promise<ExtendedReply> {
  const { directory, server, connection } = client;
  const { clock, hooks, log } = directory;
  const { throttle } = server;
  const { remoteAddress } = connection;
  const before = throttle.waiting(remoteAddress, clock.monotonic());
  if (before > 0) await pause(clock, before);
  const changed = await hooks.changePassword?.(request);
  if (changed === undefined) return { result: resultOf('unwillingToPerform') };
  const { result, generated } = changed;
  if (result.code === RESULT_CODE.invalidCredentials) {
    const delay = throttle.failed(remoteAddress, clock.monotonic());
    if (delay > 0) await pause(clock, delay);
  }
  if (result.code !== 0) return { result };
  log.info('a password was changed', { by: request.identity.authorizationId, from: remoteAddress });
  if (generated === undefined || request.wanted !== undefined) return { result };
  const answer = encodePasswordModifyResponse(generated.reveal());
  return answer === undefined ? { result } : { result, value: answer };
}
