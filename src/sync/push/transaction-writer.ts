/**
 * Pipelined transactions (RFC 5805): while one is being carried out and made durable by the edge, the next is on its way. Its
 * identifier is asked for while the last one is being filled, so that a push never waits for a round trip.
 */
import { PosternError } from '../../base/error.ts';
import type { LdapClient, QuietUpdates, Sent } from '../../ldap/client.ts';
import { CONTROL, EXTENDED } from '../../ldap/control.ts';
import { encodedControls } from '../../ldap/encode-control.ts';
import { encodeEndTransactionRequest } from '../../ldap/extended-values.ts';
import type { Attribute, Control, ExtendedResponse, Modification } from '../../ldap/message.ts';
import { POSTERN_CONTROL } from '../../ldap/postern-oid.ts';

/** `put` replaces or adds; `remove` takes away what may be gone already. */
export type WriteOperation =
  | { readonly kind: 'put'; readonly dn: string; readonly attributes: readonly Attribute[] }
  | { readonly kind: 'remove'; readonly dn: string }
  | { readonly kind: 'modify'; readonly dn: string; readonly changes: readonly Modification[] };

/** Transactions sent and not yet acknowledged; enough to keep a disk busy. */
const MOST_UNACKNOWLEDGED = 4;
/** Requests on the wire without an answer. */
const WINDOW = 4096;

const IDEMPOTENT: Control = { oid: POSTERN_CONTROL.idempotent, critical: true };

export class TransactionWriter {
  readonly #client: LdapClient;
  readonly #updates: QuietUpdates;
  #next: Sent<ExtendedResponse> | undefined;
  #unacknowledged = 0;
  #room: (() => void) | undefined;
  #failure: Error | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(client: LdapClient) {
    this.#client = client;
    this.#updates = client.quietUpdates((error) => this.#failed(error));
  }

  /**
   * Sends one transaction and resolves when it is on its way; `onDurable` is called when the edge has it on disk. Calls take
   * turns, since a connection has one transaction open at a time. After a failure every further call rejects with it: the
   * connection is to be given up.
   */
  send(operations: readonly WriteOperation[], onDurable: () => void = () => undefined): Promise<void> {
    const sent = this.#turn.then(() => this.#sendNow(operations, onDurable));
    this.#turn = sent.catch(() => undefined);
    return sent;
  }

  async #sendNow(operations: readonly WriteOperation[], onDurable: () => void): Promise<void> {
    while (this.#unacknowledged >= MOST_UNACKNOWLEDGED && this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#room = resolve;
      });
    }
    if (this.#failure !== undefined) throw this.#failure;
    const identifier = await this.#begin();
    // Answered while this one is being filled, so that the next follows it without a pause.
    this.#next = this.#client.extended(EXTENDED.startTransaction);
    const specification: Control = {
      oid: CONTROL.transactionSpecification,
      critical: true,
      value: identifier,
    };
    const plain = encodedControls([specification]);
    const idempotent = encodedControls([specification, IDEMPOTENT]);
    for (const operation of operations) {
      const room = this.#client.window(WINDOW);
      if (room !== undefined) await room;
      if (operation.kind === 'put') this.#updates.add(operation.dn, operation.attributes, idempotent);
      else if (operation.kind === 'remove') this.#updates.delete(operation.dn, idempotent);
      else this.#updates.modify(operation.dn, operation.changes, plain);
    }
    this.#unacknowledged++;
    const end = this.#client.extended(
      EXTENDED.endTransaction,
      encodeEndTransactionRequest({ commit: true, identifier }),
    );
    end.result.then(
      () => {
        this.#unacknowledged--;
        onDurable();
        this.#wake();
      },
      (error: unknown) => this.#failed(error),
    );
  }

  #failed(error: unknown): void {
    this.#failure ??= error as Error;
    this.#wake();
  }

  /** Resolves when everything sent is durable; rejects with the first failure. */
  async drained(): Promise<void> {
    while (this.#unacknowledged > 0 && this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#room = resolve;
      });
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #begin(): Promise<Buffer> {
    const started = this.#next ?? this.#client.extended(EXTENDED.startTransaction);
    this.#next = undefined;
    const { operation } = await started.result;
    if (operation.value === undefined)
      throw new PosternError('ldap.protocol', 'the edge began a transaction without naming it');
    return operation.value;
  }

  #wake(): void {
    const room = this.#room;
    this.#room = undefined;
    room?.();
  }
}
