/**
 * One client: requests from a connection to the directory and answers back. It owns message ids, outstanding operations, binds and
 * the open transaction; what an operation does is elsewhere. Nothing here outlives the connection.
 */
import { EXTENDED } from '../../ldap/control.ts';
import { decodeMessage, peekMessage } from '../../ldap/decode.ts';
import type { Frame } from '../../ldap/framer.ts';
import type {
  CompareRequest,
  Control,
  ExtendedRequest,
  LdapResult,
  Message,
  Request,
} from '../../ldap/message.ts';
import { isRequest, operationOfTag } from '../../ldap/operation-tag.ts';
import { RESULT_CODE } from '../../ldap/result-code.ts';
import type { ConnectionHandler, ServerConnection } from '../../ldap/server-connection.ts';
import type { Directory } from '../directory.ts';
import type { ExtendedReply } from '../hooks.ts';
import { refuse, resultOf, SUCCESS } from '../refusal.ts';
import { ANONYMOUS_ROLE, type ConnectionFacts, type Identity, Session } from '../session.ts';
import { responseTo, resultOfError, writeResponse } from './answer.ts';
import { startBind } from './bind.ts';
import { compareEntry } from './compare.ts';
import { runExtended } from './extended.ts';
import type { ClientLimits } from './limits.ts';
import { readControls, type RequestControls } from './request-controls.ts';
import { assertBase, searchBase, startSearch } from './search-start.ts';
import { SortedLists } from './sorted-list.ts';
import { startUpdate } from './update-operation.ts';
import type { DirectoryServer } from '../server.ts';
import { startSync } from '../sync/sync-operation.ts';
import type { Transaction } from './transaction.ts';

/** A request that is being worked on. */
export interface Operation {
  readonly messageId: number;
  readonly op: Request['op'];
  /** Ends it without an answer; false when that can't be. */
  cancel(): boolean;
  /** Why it can't be ended: cannotCancel unless told (RFC 3909 §3). */
  readonly refusesCancel?: 'tooLate' | 'cannotCancel';
  onDrain?(): void;
  /** Stays open until it is abandoned: does not count as outstanding. */
  readonly persistent?: boolean;
  /** It takes more than one turn. */
  readonly long?: boolean;
}

/** Bytes committed and not yet durable, of all clients, above which no more updates are read. */
const MOST_PENDING_BYTES = 64 << 20;
/** Octets of a request from which on it waits for its turn: taking it apart takes its time, and hundreds may come at once. */
const LARGE_REQUEST = 8192;
/** Requests that are handled in one turn on a connection that has long work under way. */
const REQUESTS_A_TURN = 32;

export class Client implements ConnectionHandler {
  readonly server: DirectoryServer;
  readonly directory: Directory;
  readonly connection: ServerConnection;
  readonly session: Session;
  limits: ClientLimits;
  /** Open ones, in the order of their start. */
  readonly transactions: Transaction[] = [];
  /** Results in their order, between two pages. */
  readonly sortedLists: SortedLists;
  readonly #operations = new Map<number, Operation>();
  #paused = false;
  /** Operations under way that take more than one turn. */
  #long = 0;
  /** Requests that are still handled in this turn. */
  #credit = 0;
  readonly #idleTimeoutMs: number | undefined;

  constructor(server: DirectoryServer, connection: ServerConnection) {
    this.server = server;
    this.directory = server.directory;
    this.connection = connection;
    this.sortedLists = new SortedLists(server.sortBudget);
    this.#idleTimeoutMs = connection.idleTimeoutMs;
    const facts = factsOf(connection);
    this.session = new Session(facts, server.initialIdentity(facts));
    this.limits = server.limitsOf(this.session);
    connection.known = this.session.identity.role !== ANONYMOUS_ROLE;
    connection.maxMessageBytes = this.limits.messageBytes;
    this.session.onTerminate = () =>
      connection.noticeOfDisconnection(RESULT_CODE.unavailable, 'session ended by the server');
    this.directory.addSession(this.session);
  }

  // --- from the connection ---

  onFrame(frame: Frame): void {
    if (this.server.fastSearch.try(this, frame)) return;
    // Buffers of a decoded message are views: what is kept beyond this call needs octets of its own.
    const bytes = Buffer.allocUnsafe(frame.end - frame.start);
    frame.buffer.copy(bytes, 0, frame.start, frame.end);
    if (bytes.length <= LARGE_REQUEST && this.#mayGoOn()) return this.#handle(bytes);
    const goOn = this.connection.postpone();
    this.later(() => {
      this.#credit = REQUESTS_A_TURN;
      goOn(() => this.#handle(bytes));
      this.#credit = 0;
    });
  }

  #mayGoOn(): boolean {
    if (!this.directory.turns.has(this)) return true;
    if (this.#credit === 0) return false;
    this.#credit--;
    return true;
  }

  #handle(bytes: Buffer): void {
    const own = { buffer: bytes, start: 0, end: bytes.length };
    const { messageId, tag } = peekMessage(own);
    const op = operationOfTag(tag);
    let message: Message;
    try {
      message = decodeMessage(own);
    } catch (error) {
      if (op?.endsWith('Request') !== true) throw error;
      // Ill-formed or not, the end is meant (RFC 4511 §4.3), and a bind begins with nobody (RFC 4513 §4).
      if (op === 'unbindRequest') return this.connection.close();
      if (op === 'bindRequest') this.startOver();
      return this.failed(op as Request['op'], messageId, error);
    }
    const { operation } = message;
    // A response is no request: RFC 4511 §4.4.1 calls for the notice of disconnection.
    if (!isRequest(operation))
      return this.connection.noticeOfDisconnection(RESULT_CODE.protocolError, 'not a request');
    if (messageId === 0 && operation.op !== 'unbindRequest')
      return this.connection.noticeOfDisconnection(RESULT_CODE.protocolError, 'message id 0');
    try {
      this.#dispatch(messageId, operation, message.controls, bytes.length);
    } catch (error) {
      this.failed(operation.op, messageId, error);
    }
  }

  onDrain(): void {
    for (const operation of this.#operations.values()) operation.onDrain?.();
  }

  onClose(): void {
    for (const operation of this.#operations.values()) operation.cancel();
    this.#operations.clear();
    for (const transaction of this.transactions.splice(0)) transaction.release();
    this.sortedLists.clear();
    this.session.end();
  }

  // --- for operations ---

  get canStartTls(): boolean {
    return this.server.startTls && this.connection.localKind === 'ldap' && !this.connection.secure;
  }

  operation(messageId: number): Operation | undefined {
    return this.#operations.get(messageId);
  }

  /** Refuses the id of an operation under way. */
  checkMessageId(messageId: number): void {
    if (this.#operations.has(messageId)) refuse('protocolError', 'message id is in use');
  }

  started(operation: Operation): void {
    this.checkMessageId(operation.messageId);
    this.#operations.set(operation.messageId, operation);
    // A persistent search may be silent for as long as nothing changes.
    if (operation.persistent === true) this.connection.idleTimeoutMs = undefined;
    this.#pauseWhenBusy();
  }

  /** An operation under way has become `long`. */
  becameLong(): void {
    this.#long++;
    this.#pauseWhenBusy();
  }

  #pauseWhenBusy(): void {
    if (this.#paused || !this.#isBusy()) return;
    this.#paused = true;
    this.connection.pause();
  }

  /** Too much of this client's is under way, or too much of everybody's waits for the disk. */
  #isBusy(): boolean {
    return (
      this.#operations.size >= this.limits.outstanding + this.limits.persistent ||
      this.#long >= this.limits.long ||
      this.directory.database.store.pendingBytes > MOST_PENDING_BYTES
    );
  }

  /** Forgets an operation; false when it was abandoned or the connection is gone. */
  finished(operation: Operation): boolean {
    if (this.#operations.get(operation.messageId) !== operation) return false;
    this.#operations.delete(operation.messageId);
    if (operation.long === true) this.#long--;
    if (operation.persistent === true && this.persistentOperations === 0)
      this.connection.idleTimeoutMs = this.#idleTimeoutMs;
    // With nothing of its own under way nothing else would ever wake it.
    const few = this.#operations.size <= (this.limits.outstanding + this.limits.persistent) / 2;
    if (this.#paused && few && (this.#operations.size === 0 || !this.#isBusy())) {
      this.#paused = false;
      this.connection.resume();
    }
    return true;
  }

  /** How many operations stay open until abandoned. */
  get persistentOperations(): number {
    let count = 0;
    for (const operation of this.#operations.values()) if (operation.persistent === true) count++;
    return count;
  }

  /** Runs `work` after others had their turn. */
  later(work: () => void): void {
    this.directory.turns.queue(() => {
      if (this.connection.open) work();
    }, this);
  }

  answer(op: Request['op'], messageId: number, result: LdapResult, controls?: readonly Control[]): void {
    const response = responseTo(op, result);
    if (response !== undefined && this.connection.open)
      writeResponse(this.connection.writer(), messageId, response, controls);
  }

  reply(messageId: number, { result, oid, value, controls }: ExtendedReply): void {
    if (!this.connection.open) return;
    const response = {
      op: 'extendedResponse',
      result,
      ...(oid !== undefined && { oid }),
      ...(value !== undefined && { value }),
    } as const;
    writeResponse(this.connection.writer(), messageId, response, controls);
  }

  failed(op: Request['op'], messageId: number, error: unknown): void {
    const result = resultOfError(error);
    if (result === undefined) this.directory.log.error('an operation failed', { op, error });
    this.answer(op, messageId, result ?? resultOf('other', 'internal error'));
  }

  /** RFC 4511 §4.2.1 and RFC 4513 §4: a bind begins with nobody, and with nothing under way. */
  startOver(): void {
    this.become(this.session.initial);
    for (const operation of this.#operations.values()) if (operation.cancel()) this.finished(operation);
    // RFC 5805 §3.5: without notice.
    for (const transaction of this.transactions.splice(0)) transaction.release();
    this.sortedLists.clear();
  }

  become(identity: Identity): void {
    this.session.identity = identity;
    this.connection.known = identity.role !== ANONYMOUS_ROLE;
    this.limits = this.server.limitsOf(this.session);
    this.connection.maxMessageBytes = this.limits.messageBytes;
  }

  // --- requests ---

  #dispatch(messageId: number, request: Request, controls: readonly Control[], bytes: number): void {
    if (request.op === 'unbindRequest') return this.connection.close();
    if (request.op === 'abandonRequest') return this.#abandon(request.messageId);
    if (!this.server.allows(request, this.session))
      refuse('unwillingToPerform', 'this operation is not served here');
    const read =
      request.op === 'bindRequest' || request.op === 'extendedRequest'
        ? NO_CONTROLS
        : readControls(request.op, controls, this.directory.hooks.controls);
    switch (request.op) {
      case 'bindRequest':
        return startBind(this, messageId, request, controls);
      case 'searchRequest':
        if (read.sync === undefined) return startSearch(this, messageId, request, read);
        if (read.assertion !== undefined) assertBase(this, searchBase(this, request), read.assertion);
        return startSync(this, messageId, request, read.sync);
      case 'compareRequest':
        return this.#compare(messageId, request, read);
      case 'extendedRequest':
        return this.#extended(messageId, request, controls);
      default:
        return startUpdate(this, messageId, request, read, bytes);
    }
  }

  /** RFC 4511 §4.11; what is already decided goes on, but is not answered. */
  #abandon(messageId: number): void {
    const operation = this.#operations.get(messageId);
    if (operation === undefined) return;
    operation.cancel();
    this.finished(operation);
  }

  #compare(messageId: number, request: CompareRequest, controls: RequestControls): void {
    const gate = this.directory.hooks.searchGate?.(this.session, request.dn);
    this.answer(
      'compareRequest',
      messageId,
      gate ?? resultOf(compareEntry(this, request, controls.assertion) ? 'compareTrue' : 'compareFalse'),
    );
  }

  #extended(messageId: number, request: ExtendedRequest, controls: readonly Control[]): void {
    if (request.oid === EXTENDED.startTls) return this.#startTls(messageId);
    const reply = runExtended(this, messageId, request, controls);
    if (reply === undefined) return;
    if (!(reply instanceof Promise)) return this.reply(messageId, reply);
    const operation: Operation = { messageId, op: 'extendedRequest', cancel: () => false };
    this.started(operation);
    reply.then(
      (late) => {
        if (this.finished(operation)) this.reply(messageId, late);
      },
      (error: unknown) => {
        if (this.finished(operation)) this.failed('extendedRequest', messageId, error);
      },
    );
  }

  /** RFC 4511 §4.14.1: not while other operations are under way. */
  #startTls(messageId: number): void {
    if (!this.canStartTls)
      refuse(this.connection.secure ? 'operationsError' : 'protocolError', 'StartTLS is not available here');
    if (this.#operations.size > 0 || this.transactions.length > 0)
      refuse('operationsError', 'other operations are under way');
    this.reply(messageId, { result: SUCCESS, oid: EXTENDED.startTls });
    this.connection.startTls();
  }
}

const NO_CONTROLS: RequestControls = {};

function factsOf(connection: ServerConnection): ConnectionFacts {
  const kind =
    connection.localKind === 'ldaps' ? 'tls' : connection.localKind === 'ldapi' ? 'unix' : 'loopback';
  const certificate = connection.peerCertificate;
  return {
    kind,
    remoteAddress: connection.remoteAddress,
    ...(certificate !== undefined && { peerCertificate: certificate }),
    exportKeyingMaterial: connection.exportKeyingMaterial,
  };
}
