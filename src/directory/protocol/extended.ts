/** The extended operations that every directory has: Who am I (RFC 4532), Cancel (3909), transactions (5805). Owners add theirs. */
import { EXTENDED } from '../../ldap/control.ts';
import {
  decodeCancelRequest,
  decodeEndTransactionRequest,
  encodeEndTransactionResponse,
} from '../../ldap/extended-values.ts';
import type { Control, ExtendedRequest } from '../../ldap/message.ts';
import { requireNoValue } from '../../ldap/value.ts';
import type { ExtendedReply } from '../hooks.ts';
import { refuse, resultOf, SUCCESS } from '../refusal.ts';
import type { CommitOutcome } from '../update/commit.ts';
import type { Client } from './client.ts';
import { Transaction } from './transaction.ts';

/** Answers, or returns undefined when the answer comes later or was given. Refusals are thrown. */
export function runExtended(
  client: Client,
  messageId: number,
  request: ExtendedRequest,
  controls: readonly Control[],
): ExtendedReply | Promise<ExtendedReply> | undefined {
  const { oid, value } = request;
  const own = client.directory.hooks.extended?.[oid];
  if (own === undefined || !Object.hasOwn(client.directory.hooks.extended ?? {}, oid)) {
    const unknown = controls.find((control) => control.critical);
    if (unknown !== undefined)
      refuse('unavailableCriticalExtension', `control ${unknown.oid} is not supported here`);
  }
  switch (oid) {
    case EXTENDED.whoAmI:
      requireNoValue(value);
      return { result: SUCCESS, value: Buffer.from(client.session.identity.authorizationId) };
    case EXTENDED.cancel:
      return cancel(client, decodeCancelRequest(value));
    case EXTENDED.startTransaction:
      requireNoValue(value);
      return start(client);
    case EXTENDED.endTransaction:
      return end(client, messageId, value);
    default:
      if (own === undefined)
        return { result: resultOf('protocolError', `extended operation ${oid} is not supported`) };
      return own({ oid, value, controls }, client.session);
  }
}

/** RFC 3909: the cancelled operation is answered too. */
function cancel(client: Client, messageId: number): ExtendedReply {
  const operation = client.operation(messageId);
  if (operation === undefined) return { result: resultOf('noSuchOperation') };
  if (!operation.cancel()) return { result: resultOf('cannotCancel') };
  client.answer(operation.op, messageId, resultOf('canceled'));
  return { result: SUCCESS };
}

/** RFC 5805 §3.1 leaves the number to the server: with two, a pusher fills one while the other is carried out. */
const MOST_OPEN = 2;

function start(client: Client): ExtendedReply {
  const { limits } = client;
  if (limits.transactionUpdates === 0) refuse('insufficientAccessRights', 'no right to transactions');
  if (client.transactions.length >= MOST_OPEN) refuse('busy', `${MOST_OPEN} transactions are open already`);
  const identifier = client.directory.random.bytes(4);
  client.transactions.push(new Transaction(identifier, limits, client.server.transactionBudget));
  return { result: SUCCESS, value: identifier };
}

function end(client: Client, messageId: number, value: Buffer | undefined): undefined {
  const { commit, identifier } = decodeEndTransactionRequest(value);
  const transaction = client.openTransaction(identifier);
  client.closeTransaction(transaction);
  if (!commit) {
    transaction.release();
    client.reply(messageId, { result: SUCCESS });
    return undefined;
  }
  const operation = client.startedWrite('extendedRequest', messageId);
  client.directory.committer.submit({
    session: client.session,
    updates: transaction.updates,
    inTransaction: true,
    ask: true,
    done: (outcome) => {
      transaction.release();
      if (client.finished(operation)) client.reply(messageId, endReply(outcome));
    },
  });
  return undefined;
}

/** RFC 5805 §2.3: on failure the message id of the update that failed, when it was one; on success the updates' controls. */
function endReply(outcome: CommitOutcome): ExtendedReply {
  if (!outcome.ok) {
    const failedMessageId = outcome.failed?.messageId;
    if (failedMessageId === undefined) return { result: outcome.result };
    return {
      result: outcome.result,
      value: encodeEndTransactionResponse({ failedMessageId, updatesControls: [] }),
    };
  }
  const updatesControls = outcome.updates.flatMap(({ update, controls }) =>
    controls.length === 0 || update.messageId === undefined
      ? []
      : [{ messageId: update.messageId, controls }],
  );
  return updatesControls.length === 0
    ? { result: SUCCESS }
    : { result: SUCCESS, value: encodeEndTransactionResponse({ updatesControls }) };
}
