/**
 * An LDAP client that streams and pipelines: every request is sent at once and returns its message id with the promise of its result.
 *
 *   await using client = await connectLdap({ target: 'ldaps://edge.example.org:50636', clock, tls: { trust: { kind: 'pinned', verifyPeer } } });
 *   await client.bind(name, password);
 *   for await (const { operation } of client.search({ base: 'cn=Recipients' })) ...
 *   for (const entry of entries) { await client.window(256); client.add(entry.dn, entry.attributes).result.then(...); }
 */
import { TLSSocket } from 'node:tls';
import type { Clock } from '../base/clock.ts';
import { PosternError } from '../base/error.ts';
import type { Secret } from '../base/secret.ts';
import { ClientConnection } from './client-connection.ts';
import { closedError } from './client-error.ts';
import { QuietExchange, ResultExchange } from './client-result.ts';
import { type Reply, SearchStream } from './client-search.ts';
import { EXTENDED } from './control.ts';
import type {
  Attribute,
  BindRequest,
  BindResponse,
  Control,
  ExtendedResponse,
  Filter,
  Modification,
  PlainResponse,
  Request,
  Response,
  SearchRequest,
} from './message.ts';
import { exportKeyingMaterial, peerCertificate, secureSocket, type TlsClientOptions } from './tls.ts';
import { openTransport } from './transport.ts';
import { describeTarget, type LdapTarget, parseTarget } from './transport-target.ts';

export type { Reply, SearchItem, SearchStream } from './client-search.ts';

export interface LdapClientOptions {
  /** `ldap://`, `ldaps://`, `ldapi://`, or the address itself. */
  readonly target: string | LdapTarget;
  readonly clock: Clock;
  /** Needed for ldaps; not used by ldap and ldapi (`startTls` takes its own). */
  readonly tls?: TlsClientOptions;
  /** Name resolution, connecting and TLS handshake together; 10 s unless told. */
  readonly connectTimeoutMs?: number;
  /** Longest silence while a request is outstanding; none unless told. A request may have its own. */
  readonly operationTimeoutMs?: number;
  /** Longest message accepted; 64 MiB unless told. */
  readonly maxMessageBytes?: number;
  readonly localAddress?: string;
  /** Ends the attempt to connect. */
  readonly signal?: AbortSignal;
  /** Unsolicited notifications, the notice of disconnection included (the connection then ends by itself). */
  readonly onNotification?: (notification: ExtendedResponse) => void;
}

export interface RequestOptions {
  readonly controls?: readonly Control[];
  /** Longest silence; `never`: it may wait for ever (persistent searches). */
  readonly timeoutMs?: number | 'never';
  /** Result codes that are no errors here, besides success. */
  readonly accept?: readonly number[];
}

export interface SearchOptions extends RequestOptions {
  /** Cancels the search: Abandon to the server, `canceled` to the consumer. */
  readonly signal?: AbortSignal;
}

/** A request on its way. `result` rejects with `ldap.result`, `ldap.closed`, `ldap.timeout`; leaving it unobserved is allowed. */
export interface Sent<R extends Response> {
  readonly messageId: number;
  readonly result: Promise<Reply<R>>;
}

/** Controls may be encoded already (`encodedControls`). */
export interface QuietUpdates {
  add(dn: string, attributes: readonly Attribute[], controls: readonly Control[] | Uint8Array): void;
  delete(dn: string, controls: readonly Control[] | Uint8Array): void;
  modify(dn: string, changes: readonly Modification[], controls: readonly Control[] | Uint8Array): void;
}

/** A search with RFC 4511's usual values for what is left out: whole subtree, all entries, user attributes, no limits. */
export type SearchParameters = Partial<Omit<SearchRequest, 'op' | 'base'>> & { readonly base: string };

const CONNECT_TIMEOUT_MS = 10_000;
const MAX_MESSAGE_BYTES = 64 << 20;
const WINDOW_BYTES = 1 << 20;
const ALL: Filter = { kind: 'present', attribute: 'objectClass' };

/** Rejects with `name.unresolvable`, `connect.failed`, `tls.failed`, `canceled`, `usage`, or what `verifyPeer` threw. */
export async function connectLdap(options: LdapClientOptions): Promise<LdapClient> {
  const target = typeof options.target === 'string' ? parseTarget(options.target) : options.target;
  const { clock, tls } = options;
  const started = clock.monotonic();
  const timeoutMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  const secure = target.kind === 'tcp' && target.tls;
  if (secure && tls === undefined)
    throw new PosternError('usage', `no TLS settings for ${describeTarget(target)}`);
  let socket = await openTransport({
    target,
    clock,
    timeoutMs,
    ...signal,
    ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }),
  });
  if (secure && tls !== undefined) {
    const left = Math.max(1, timeoutMs - (clock.monotonic() - started));
    socket = await secureSocket(socket, tls, { clock, timeoutMs: left, host: target.host, ...signal });
  }
  const connection = new ClientConnection(socket, {
    clock,
    where: describeTarget(target),
    maxMessageBytes: options.maxMessageBytes ?? MAX_MESSAGE_BYTES,
    onNotification: options.onNotification,
  });
  return new LdapClient(connection, target, options);
}

export class LdapClient implements AsyncDisposable {
  readonly #connection: ClientConnection;
  readonly #target: LdapTarget;
  readonly #options: LdapClientOptions;
  #secure: boolean;
  #peerCertificate: Buffer | undefined;

  constructor(connection: ClientConnection, target: LdapTarget, options: LdapClientOptions) {
    this.#connection = connection;
    this.#target = target;
    this.#options = options;
    this.#peerCertificate = peerCertificate(connection.socket);
    this.#secure = connection.socket instanceof TLSSocket;
  }

  /** `host:port` or path, for messages. */
  get where(): string {
    return this.#connection.where;
  }

  /** Encrypted by TLS. */
  get secure(): boolean {
    return this.#secure;
  }

  /** DER. */
  get peerCertificate(): Buffer | undefined {
    return this.#peerCertificate;
  }

  /** See `tls.ts`. */
  exportKeyingMaterial(length: number, label: string): Buffer | undefined {
    return exportKeyingMaterial(this.#connection.socket, length, label);
  }

  get localAddress(): string | undefined {
    return this.#connection.socket.localAddress;
  }

  get remoteAddress(): string | undefined {
    return this.#connection.socket.remoteAddress;
  }

  /** Resolves, when the connection has ended, to why. */
  get closed(): Promise<PosternError> {
    return this.#connection.closed;
  }

  get isClosed(): boolean {
    return this.#connection.error !== undefined;
  }

  /** Requests that wait for their result. */
  get outstanding(): number {
    return this.#connection.outstanding;
  }

  /** Bytes that the operating system has not taken yet. */
  get pendingBytes(): number {
    return this.#connection.pendingBytes;
  }

  /**
   * For pushers: `await` it before each request to keep fewer than `outstanding` requests on their way, and at most `bytes` unsent
   * (1 MiB unless told). Undefined when there is room now. Rejects once the connection has ended.
   */
  window(outstanding: number, bytes: number = WINDOW_BYTES): Promise<void> | undefined {
    return this.#connection.window(outstanding, bytes);
  }

  /** Simple bind. Anonymous with an empty name and password; a name without a password is refused here (RFC 4513 §5.1.2). */
  bind(name: string, password: Secret, options?: RequestOptions): Promise<Reply<BindResponse>> {
    if (name !== '' && password.length === 0) {
      return Promise.reject(
        new PosternError('usage', `bind as ${name} with an empty password`, {
          hint: 'servers take it for an anonymous bind',
        }),
      );
    }
    return this.#bind(
      {
        op: 'bindRequest',
        version: 3,
        name,
        authentication: { kind: 'simple', password: password.reveal() },
      },
      options,
    );
  }

  /** SASL EXTERNAL: who the transport says we are (client certificate, user of the unix socket), acting as `authorizationId`. */
  bindExternal(authorizationId?: string, options?: RequestOptions): Promise<Reply<BindResponse>> {
    const credentials = Buffer.from(authorizationId ?? '');
    return this.#bind(
      {
        op: 'bindRequest',
        version: 3,
        name: '',
        authentication: { kind: 'sasl', mechanism: 'EXTERNAL', credentials },
      },
      options,
    );
  }

  #bind(request: BindRequest, options?: RequestOptions): Promise<Reply<BindResponse>> {
    return this.#send<BindResponse>(request, 'bindResponse', `bind as "${request.name}"`, options).result;
  }

  add(dn: string, attributes: readonly Attribute[], options?: RequestOptions): Sent<PlainResponse> {
    return this.#send({ op: 'addRequest', dn, attributes }, 'addResponse', `add "${dn}"`, options);
  }

  modify(dn: string, changes: readonly Modification[], options?: RequestOptions): Sent<PlainResponse> {
    return this.#send({ op: 'modifyRequest', dn, changes }, 'modifyResponse', `modify "${dn}"`, options);
  }

  delete(dn: string, options?: RequestOptions): Sent<PlainResponse> {
    return this.#send({ op: 'deleteRequest', dn }, 'deleteResponse', `delete "${dn}"`, options);
  }

  modifyDn(
    dn: string,
    to: { newRdn: string; deleteOldRdn: boolean; newSuperior?: string },
    options?: RequestOptions,
  ): Sent<PlainResponse> {
    return this.#send({ op: 'modifyDnRequest', dn, ...to }, 'modifyDnResponse', `rename "${dn}"`, options);
  }

  /** The result's code is compareTrue (6) or compareFalse (5). */
  compare(dn: string, attribute: string, value: Buffer, options?: RequestOptions): Sent<PlainResponse> {
    return this.#send({ op: 'compareRequest', dn, attribute, value }, 'compareResponse', `compare "${dn}"`, {
      ...options,
      accept: [5, 6, ...(options?.accept ?? [])],
    });
  }

  /**
   * Sends updates whose successes nobody waits for, as the parts of a transaction, whose end says it all: no promise a request.
   * `onFailure` is called for each that fails, when the connection ends too.
   */
  quietUpdates(onFailure: (error: unknown) => void): QuietUpdates {
    const timeoutMs = this.#timeout(undefined);
    const added = new QuietExchange('addResponse', 'add', timeoutMs, onFailure);
    const deleted = new QuietExchange('deleteResponse', 'delete', timeoutMs, onFailure);
    const modified = new QuietExchange('modifyResponse', 'modify', timeoutMs, onFailure);
    const connection = this.#connection;
    return {
      add: (dn, attributes, controls) =>
        void connection.request({ op: 'addRequest', dn, attributes }, controls, added),
      delete: (dn, controls) => void connection.request({ op: 'deleteRequest', dn }, controls, deleted),
      modify: (dn, changes, controls) =>
        void connection.request({ op: 'modifyRequest', dn, changes }, controls, modified),
    };
  }

  extended(oid: string, value?: Buffer, options?: RequestOptions): Sent<ExtendedResponse> {
    const request: Request =
      value === undefined ? { op: 'extendedRequest', oid } : { op: 'extendedRequest', oid, value };
    return this.#send(request, 'extendedResponse', `extended operation ${oid}`, options);
  }

  /** Authorization identity (RFC 4532): `dn:...`, `u:...`, or empty for anonymous. */
  async whoAmI(options?: RequestOptions): Promise<string> {
    const { operation } = await this.extended(EXTENDED.whoAmI, undefined, options).result;
    return operation.value?.toString('utf8') ?? '';
  }

  /**
   * Sends a search at once; iterate the stream, or its `batches()`. Values are views of what was received: copy what is kept for long.
   * While it isn't consumed nothing else on this connection is read either, unless requests wait for their results.
   */
  search(parameters: SearchParameters, options: SearchOptions = {}): SearchStream {
    const request: SearchRequest = {
      op: 'searchRequest',
      scope: 'subtree',
      derefAliases: 'never',
      sizeLimit: 0,
      timeLimit: 0,
      typesOnly: false,
      filter: ALL,
      attributes: [],
      ...parameters,
    };
    return new SearchStream(this.#connection, request, {
      timeoutMs: this.#timeout(options),
      accept: options.accept ?? [],
      signal: options.signal,
    }).begin(options.controls);
  }

  /** Asks the server to forget a request (RFC 4511 §4.11); its result rejects with `canceled`. Whether it took effect is unknown. */
  abandon(messageId: number): void {
    this.#connection.abandon(messageId, new PosternError('canceled', `request ${messageId} was abandoned`));
  }

  /** StartTLS (RFC 4511 §4.14), with nothing else outstanding. On failure the connection is closed. */
  async startTls(
    tls: TlsClientOptions,
    options: RequestOptions & { handshakeTimeoutMs?: number } = {},
  ): Promise<void> {
    const connection = this.#connection;
    if (connection.outstanding > 0)
      throw new PosternError('internal', 'StartTLS while requests are outstanding');
    if (this.#secure) throw new PosternError('internal', 'StartTLS on a connection that has TLS');
    const exchange = new ResultExchange<ExtendedResponse>(
      'extendedResponse',
      'StartTLS',
      this.#timeout(options),
      [],
    );
    // Listening must stop in the very call that delivers the answer.
    exchange.onSuccess = () => connection.detach();
    try {
      connection.request({ op: 'extendedRequest', oid: EXTENDED.startTls }, options.controls, exchange);
      await exchange.result;
      const socket = await secureSocket(connection.socket, tls, {
        clock: connection.clock,
        timeoutMs: options.handshakeTimeoutMs ?? this.#options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
        ...(this.#target.kind === 'tcp' ? { host: this.#target.host } : {}),
      });
      connection.reattach(socket);
      this.#secure = true;
      this.#peerCertificate = peerCertificate(socket);
    } catch (error) {
      connection.destroy(closedError(this.where, 'StartTLS failed', { cause: error }));
      throw error;
    }
  }

  /** Says goodbye (RFC 4511 §4.3) and closes; requests still outstanding are rejected with `ldap.closed`. */
  unbind(): void {
    if (this.isClosed) return;
    this.#connection.sendUnbind();
    this.#connection.end(closedError(this.where, 'it was closed on this side'));
  }

  /** Closes without a word. */
  destroy(error?: PosternError): void {
    this.#connection.destroy(error ?? closedError(this.where, 'it was closed on this side'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.unbind();
    await this.closed;
  }

  #send<R extends Response>(
    request: Request,
    ends: R['op'],
    what: string,
    options?: RequestOptions,
  ): Sent<R> {
    const exchange = new ResultExchange<R>(ends, what, this.#timeout(options), options?.accept);
    const messageId = this.#connection.request(request, options?.controls, exchange);
    return { messageId, result: exchange.result };
  }

  #timeout(options: RequestOptions | undefined): number | undefined {
    const own = options?.timeoutMs;
    return own === 'never' ? undefined : (own ?? this.#options.operationTimeoutMs);
  }
}
