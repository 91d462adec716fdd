/**
 * The extended operations that every directory has: Who am I (RFC 4532), Cancel (3909), transactions (5805); and password modify
 * (3062) where the owner can. Owners add theirs.
 */
import { EXTENDED, oidName } from '../../ldap/control.ts';
import { decodeCancelRequest } from '../../ldap/extended-values.ts';
import type { Control, ExtendedRequest } from '../../ldap/message.ts';
import { requireNoValue } from '../../ldap/value.ts';
import type { ExtendedReply } from '../hooks.ts';
import { refuse, resultOf, SUCCESS } from '../refusal.ts';
import type { Client } from './client.ts';
import { modifyPassword } from './password.ts';
import { refuseProxy } from './request-controls.ts';
import { endTransaction, startTransaction } from './update-operation.ts';

/** Answers, or returns undefined when the answer comes later or was given. Refusals are thrown. */
export function runExtended(
  client: Client,
  messageId: number,
  request: ExtendedRequest,
  controls: readonly Control[],
): ExtendedReply | Promise<ExtendedReply> | undefined {
  const { oid, value } = request;
  const table = client.directory.hooks.extended ?? {};
  const own = Object.hasOwn(table, oid) ? table[oid] : undefined;
  for (const control of controls) refuseProxy(control.oid, control.critical);
  if (own === undefined) {
    const unknown = controls.find((control) => control.critical);
    if (unknown !== undefined)
      refuse('unavailableCriticalExtension', `control ${oidName(unknown.oid)} is not supported here`);
  }
  switch (oid) {
    case EXTENDED.whoAmI:
      requireNoValue(value);
      return { result: SUCCESS, value: Buffer.from(client.session.identity.authorizationId) };
    case EXTENDED.cancel:
      return cancel(client, messageId, decodeCancelRequest(value));
    case EXTENDED.startTransaction:
      requireNoValue(value);
      return startTransaction(client);
    case EXTENDED.endTransaction:
      endTransaction(client, messageId, value);
      return undefined;
    case EXTENDED.passwordModify:
      return modifyPassword(client, value);
    default:
      if (own === undefined)
        return { result: resultOf('protocolError', `extended operation ${oid} is not supported`) };
      return own({ oid, value, controls }, client.session);
  }
}

/** RFC 3909 §3: the canceled operation is answered too, before. */
function cancel(client: Client, own: number, messageId: number): ExtendedReply {
  // Binds and StartTLS hold up reading, so that none is under way now; those without an answer never are.
  if (messageId === own) return { result: resultOf('cannotCancel') };
  const operation = client.operation(messageId);
  if (operation === undefined) return { result: resultOf('noSuchOperation') };
  if (!operation.cancel()) return { result: resultOf(operation.refusesCancel ?? 'cannotCancel') };
  client.answer(operation.op, messageId, resultOf('canceled'));
  return { result: SUCCESS };
}
