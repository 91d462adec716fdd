/** The connections of one cycle to one edge: opened when they are needed, all closed with it but the session that is handed out. */
import type { Clock } from '../../base/clock.ts';
import { PosternError } from '../../base/error.ts';
import type { LdapClient } from '../../ldap/client.ts';
import { connectPinned, type EdgeSession, type EdgeSessionOptions } from '../push/edge-session.ts';

export type EdgeAddress = Omit<EdgeSessionOptions, 'clock' | 'signal'>;

export interface VisitSession extends EdgeSession {
  readonly number: number;
  /** It may do all that a hub may. */
  readonly whole: boolean;
}

export class EdgeVisit {
  readonly #address: () => Promise<EdgeAddress>;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #clients = new Set<LdapClient>();
  #unbound: LdapClient | undefined;
  #session: VisitSession | undefined;
  /** Why the edge could not be reached, or refused. */
  failure: PosternError | undefined;
  /** Something is on its way to the edge. */
  wrote = false;

  /** Aborting `signal` cuts all connections. */
  constructor(address: () => Promise<EdgeAddress>, clock: Clock, signal: AbortSignal) {
    this.#address = address;
    this.#clock = clock;
    this.#signal = signal;
    signal.addEventListener('abort', this.#cut, { once: true });
  }

  /** A pinned connection that nobody has bound on. */
  async connected(): Promise<LdapClient> {
    if (this.#unbound !== undefined && !this.#unbound.isClosed) return this.#unbound;
    const address = await this.#address();
    const client = await connectPinned({ ...address, clock: this.#clock, signal: this.#signal });
    this.#clients.add(client);
    this.#unbound = client;
    return client;
  }

  /** The same, to bind on. */
  async toBind(): Promise<LdapClient> {
    const client = await this.connected();
    this.#unbound = undefined;
    return client;
  }

  /** The session that this hub works with from now on. */
  enter(session: VisitSession): void {
    this.#session?.client.unbind();
    this.#session = session;
  }

  get session(): VisitSession | undefined {
    return this.#session;
  }

  /** Throws `ldap.closed` when there is none. */
  get sessionClient(): LdapClient {
    if (this.#session === undefined) throw new PosternError('ldap.closed', 'the session is over');
    return this.#session.client;
  }

  /** From now on somebody else's to close. */
  handOut(session: VisitSession): void {
    this.#clients.delete(session.client);
  }

  end(): void {
    this.#signal.removeEventListener('abort', this.#cut);
    for (const client of this.#clients) client.unbind();
  }

  readonly #cut = (): void => {
    for (const client of this.#clients) client.destroy();
  };
}
