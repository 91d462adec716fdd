/** A transaction carried out by a client, and what can be compared of it: message ids are told as positions in it. */
import { EXTENDED } from '../../../src/ldap/control.ts';
import {
  decodeEndTransactionResponse,
  encodeEndTransactionRequest,
} from '../../../src/ldap/extended-values.ts';
import type { LdapClient } from '../../../src/ldap/client.ts';
import { inTransaction, type Planned } from './generate-transaction.ts';
import { EVERY_CODE, type Outcome, readControls, run } from './run.ts';
import { EVERYTHING } from './state.ts';

export interface TransactionOutcome {
  /** Result codes of the updates when they were sent. */
  readonly sent: readonly number[];
  /** Names that could be read while it was open. */
  readonly seen: readonly string[];
  readonly end: number;
  /** Which update failed, from 0; undefined where none did. */
  readonly failed?: number;
  readonly controls: Readonly<Record<number, Outcome['controls']>>;
}

export async function runTransaction(client: LdapClient, planned: Planned): Promise<TransactionOutcome> {
  const accept = EVERY_CODE;
  const started = await client.extended(EXTENDED.startTransaction, undefined, { accept }).result;
  const identifier = started.operation.value ?? Buffer.alloc(0);
  const sent: number[] = [];
  const ids: number[] = [];
  for (const asked of planned.updates) {
    const { request, controls } = inTransaction(asked, identifier);
    const options = { accept, controls: controls ?? [] };
    const pending =
      request.op === 'addRequest'
        ? client.add(request.dn, request.attributes, options)
        : request.op === 'modifyRequest'
          ? client.modify(request.dn, request.changes, options)
          : request.op === 'deleteRequest'
            ? client.delete(request.dn, options)
            : request.op === 'modifyDnRequest'
              ? client.modifyDn(request.dn, request, options)
              : undefined;
    if (pending === undefined) throw new Error(`${request.op} in a transaction`);
    ids.push(pending.messageId);
    sent.push((await pending.result).operation.result.code);
  }
  const seen = planned.peek
    ? Object.keys((await run(client, { request: { ...EVERYTHING, attributes: ['1.1'] } })).entries)
    : [];
  const value = encodeEndTransactionRequest({ commit: planned.commit, identifier });
  const { operation } = await client.extended(EXTENDED.endTransaction, value, { accept }).result;
  const answer = operation.value === undefined ? undefined : decodeEndTransactionResponse(operation.value);
  const controls = (answer?.updatesControls ?? []).map(
    (one) => [ids.indexOf(one.messageId), readControls(one.controls)] as const,
  );
  return {
    sent,
    seen: seen.sort(),
    end: operation.result.code,
    ...(answer?.failedMessageId !== undefined && { failed: ids.indexOf(answer.failedMessageId) }),
    controls: Object.fromEntries(controls),
  };
}
