/** Who asks: one connection's identity, as the owner's `authenticate` hook decided it, and facts about the connection. */
import type { AccessView } from './access/access.ts';

export interface ConnectionFacts {
  /** How the client came in: TLS from the network, plain on loopback, a unix socket, or a call within the process. */
  readonly kind: 'tls' | 'loopback' | 'unix' | 'inProcess';
  readonly remoteAddress?: string;
  /** DER of the certificate that the client proved to own. */
  readonly peerCertificate?: Buffer;
  /** Keying material bound to the TLS session (RFC 5705), for signed requests; undefined without TLS. */
  exportKeyingMaterial?(length: number, label: string): Buffer | undefined;
  /** Whether the TLS session was resumed: it then proves no possession of the certificate's key. */
  readonly resumed?: boolean;
}

export interface Identity {
  /** Role of the access table. */
  readonly role: string;
  /** Authorization identity for Who am I (RFC 4532), `dn:...` or `u:...`; empty for anonymous. */
  readonly authorizationId: string;
  /** DN for creatorsName and modifiersName; empty for anonymous. */
  readonly dn: string;
  /** What stands for `{name}` in the subtrees of access rules. */
  readonly parameters?: Readonly<Record<string, string>>;
}

export const ANONYMOUS_ROLE = 'anonymous';
export const ANONYMOUS: Identity = { role: ANONYMOUS_ROLE, authorizationId: '', dn: '' };
/** The process itself: may do everything. No connection can get it. */
export const SYSTEM_ROLE = 'system';
export const SYSTEM: Identity = { role: SYSTEM_ROLE, authorizationId: 'dn:cn=System', dn: 'cn=System' };

let lastSession = 0;

export class Session {
  readonly id: number = ++lastSession;
  readonly connection: ConnectionFacts;
  /** What a session is before any bind, and after an anonymous or failed one. */
  readonly initial: Identity;
  #identity: Identity;
  /** Access views by parent entry: see `access.ts`, which owns this. */
  readonly accessCache = new Map<number, AccessView>();
  accessVersion = -1;
  /** Owners keep things of their own here (a lease, for example). */
  readonly notes = new Map<string, unknown>();
  /** Set by the server: ends the connection with a notice. */
  onTerminate: (() => void) | undefined;
  readonly #onEnd: ((session: Session) => void)[] = [];
  #ended = false;

  constructor(connection: ConnectionFacts, initial: Identity = ANONYMOUS) {
    this.connection = connection;
    this.initial = initial;
    this.#identity = initial;
  }

  get identity(): Identity {
    return this.#identity;
  }

  set identity(identity: Identity) {
    this.#identity = identity;
    this.accessVersion = -1;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Calls `listener` when the connection is gone. */
  onEnd(listener: (session: Session) => void): void {
    this.#onEnd.push(listener);
  }

  /** Ends the session and its connection. */
  terminate(): void {
    this.onTerminate?.();
    this.end();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const listener of this.#onEnd) listener(this);
  }
}

export const IN_PROCESS: ConnectionFacts = { kind: 'inProcess' };
