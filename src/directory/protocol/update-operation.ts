/**
 * Updates on their way to the committer: on their own, or gathered for a transaction (RFC 5805) and handed in at its end. What waits
 * can be withdrawn; what is applied can't.
 */
import { EXTENDED } from '../../ldap/control.ts';
import { decodeEndTransactionRequest, encodeEndTransactionResponse } from '../../ldap/extended-values.ts';
import type { LdapResult, Request } from '../../ldap/message.ts';
import { OPERATION_TAG } from '../../ldap/operation-tag.ts';
import type { ExtendedReply } from '../hooks.ts';
import { refuse, resultOf, SUCCESS } from '../refusal.ts';
import type { CommitOutcome, CommitRequest } from '../update/commit.ts';
import type { Update, UpdateRequest } from '../update/context.ts';
import { writeSuccess } from './answer.ts';
import type { Client, Operation } from './client.ts';
import type { RequestControls } from './request-controls.ts';
import { Transaction } from './transaction.ts';

const RESPONSE_TAG: Readonly<Record<UpdateRequest['op'], number>> = {
  addRequest: OPERATION_TAG.addResponse,
  modifyRequest: OPERATION_TAG.modifyResponse,
  deleteRequest: OPERATION_TAG.deleteResponse,
  modifyDnRequest: OPERATION_TAG.modifyDnResponse,
};

/** A group of updates that waits to be applied, or is applied and waits for the disk. */
class CommitOperation implements Operation {
  readonly messageId: number;
  readonly op: Request['op'];
  readonly refusesCancel = 'tooLate';
  readonly #client: Client;
  readonly #transaction: Transaction | undefined;
  readonly #commit: CommitRequest;

  constructor(
    client: Client,
    op: Request['op'],
    messageId: number,
    updates: readonly Update[],
    transaction: Transaction | undefined,
    answer: (outcome: CommitOutcome) => void,
  ) {
    this.#client = client;
    this.op = op;
    this.messageId = messageId;
    this.#transaction = transaction;
    this.#commit = {
      session: client.session,
      updates,
      inTransaction: transaction !== undefined,
      ask: true,
      done: (outcome) => {
        transaction?.release();
        if (client.finished(this) && client.connection.open) answer(outcome);
      },
    };
  }

  submit(): void {
    this.#client.started(this);
    this.#client.directory.committer.submit(this.#commit);
  }

  cancel(): boolean {
    if (!this.#client.directory.committer.withdraw(this.#commit)) return false;
    this.#transaction?.release();
    this.#client.finished(this);
    return true;
  }
}

export function startUpdate(
  client: Client,
  messageId: number,
  request: UpdateRequest,
  controls: RequestControls,
  bytes: number,
): void {
  const update = updateOf(messageId, request, controls);
  if (controls.transaction !== undefined)
    return gather(client, messageId, update, controls.transaction, bytes);
  const operation = new CommitOperation(client, request.op, messageId, [update], undefined, (outcome) => {
    if (!outcome.ok) return client.answer(request.op, messageId, outcome.result);
    const answers = outcome.updates.flatMap((done) => done.controls);
    if (answers.length > 0) return client.answer(request.op, messageId, SUCCESS, answers);
    writeSuccess(client.connection.writer(), messageId, RESPONSE_TAG[request.op]);
  });
  operation.submit();
  client.connection.share.costly();
}

function updateOf(messageId: number, request: UpdateRequest, controls: RequestControls): Update {
  const { assertion, preRead, postRead, treeDelete } = controls;
  const idempotent = controls.idempotent === true;
  if (assertion === undefined && preRead === undefined && postRead === undefined && treeDelete === undefined)
    return { request, messageId, idempotent };
  return {
    request,
    messageId,
    idempotent,
    ...(assertion !== undefined && { assertion }),
    ...(preRead !== undefined && { preRead }),
    ...(postRead !== undefined && { postRead }),
    ...(treeDelete !== undefined && { tree: treeDelete }),
  };
}

/** RFC 5805 §3.3: accepted means only that it will be tried at the end. */
function gather(client: Client, messageId: number, update: Update, identifier: Buffer, bytes: number): void {
  const transaction = openTransaction(client, identifier);
  if (transaction.has(messageId))
    refuse('protocolError', 'the transaction has an update with this message id already');
  if (transaction.take(update, bytes))
    return writeSuccess(client.connection.writer(), messageId, RESPONSE_TAG[update.request.op]);
  const result = resultOf('adminLimitExceeded', 'the transaction is too large');
  client.answer(update.request.op, messageId, result);
  abortTransaction(client, transaction, result);
}

/** RFC 5805 §2.4: with a notice that says why. */
function abortTransaction(client: Client, transaction: Transaction, result: LdapResult): void {
  closeTransaction(client, transaction);
  transaction.release();
  client.reply(0, { result, oid: EXTENDED.abortedTransactionNotice, value: transaction.identifier });
}

/** RFC 5805 §3.2 leaves the number to the server: with two, a pusher fills one while the other is carried out. */
const MOST_OPEN = 2;

export function startTransaction(client: Client): ExtendedReply {
  const { limits } = client;
  if (limits.transactionUpdates === 0) refuse('insufficientAccessRights', 'no right to transactions');
  if (client.transactions.length >= MOST_OPEN) refuse('busy', `${MOST_OPEN} transactions are open already`);
  const { clock, random } = client.directory;
  const identifier = random.bytes(4);
  const transaction = new Transaction(identifier, limits, client.server.transactionBudget);
  client.transactions.push(transaction);
  // What it holds is memory that all clients share.
  if (limits.transactionMs > 0) {
    const result = resultOf(
      'adminLimitExceeded',
      `a transaction may be open for ${limits.transactionMs / 1000} s`,
    );
    const expire = (): void => abortTransaction(client, transaction, result);
    transaction.expiry = clock.after('directory.transaction', limits.transactionMs, expire, {
      background: true,
    });
  }
  return { result: SUCCESS, value: identifier };
}

export function endTransaction(client: Client, messageId: number, value: Buffer | undefined): void {
  const { commit, identifier } = decodeEndTransactionRequest(value);
  const transaction = openTransaction(client, identifier);
  client.checkMessageId(messageId);
  closeTransaction(client, transaction);
  if (!commit) {
    transaction.release();
    return client.reply(messageId, { result: SUCCESS });
  }
  const { updates } = transaction;
  new CommitOperation(client, 'extendedRequest', messageId, updates, transaction, (outcome) =>
    client.reply(messageId, endReply(outcome)),
  ).submit();
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

/** Refuses with operationsError when there is none of that identifier. */
function openTransaction(client: Client, identifier: Buffer): Transaction {
  return (
    client.transactions.find((one) => one.identifier.equals(identifier)) ??
    refuse('operationsError', 'no such transaction')
  );
}

function closeTransaction({ transactions }: Client, transaction: Transaction): void {
  transaction.expiry?.cancel();
  transactions.splice(transactions.indexOf(transaction), 1);
}
