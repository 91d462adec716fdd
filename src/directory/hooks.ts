/** What an owner hands in to make a directory its own. Shapes only. */
import type { Secret } from '../base/secret.ts';
import type { Authentication, Control, LdapResult } from '../ldap/message.ts';
import type { Identity, Session } from './session.ts';
import type { CommitHooks } from './update/commit.ts';

/** A bind as the client asked for it. The password is in the message's buffer: copy what is kept, into a `Secret`. */
export interface BindAttempt {
  readonly name: string;
  readonly authentication: Authentication;
  readonly controls: readonly Control[];
  readonly session: Session;
}

/** Who the client is now, or why not (invalidCredentials as a rule). `controls` go with the response. */
export type AuthenticateResult =
  | { readonly identity: Identity; readonly controls?: readonly Control[] }
  | { readonly result: LdapResult; readonly controls?: readonly Control[] };

/** A password to be changed. The secrets are the hook's to erase. */
export interface PasswordChange {
  /** As the client wrote it; undefined: of whoever asks. */
  readonly userIdentity: string | undefined;
  /** Who asks. */
  readonly identity: Identity;
  /** When given it must be verified, or nothing changed (RFC 3062 §3): invalidCredentials counts as a failed bind. */
  readonly old: Secret | undefined;
  /** Undefined: the hook makes one, or refuses. */
  readonly wanted: Secret | undefined;
  readonly session: Session;
}

/** `generated` with success when, and only when, none was wanted. */
export interface PasswordChanged {
  readonly result: LdapResult;
  readonly generated?: Secret;
}

export interface ExtendedReply {
  readonly result: LdapResult;
  readonly oid?: string;
  readonly value?: Buffer;
  readonly controls?: readonly Control[];
}

/** Answers an extended operation. Throwing a `Refusal` answers with its result, a `DecodeError` with protocolError. */
export type ExtendedHandler = (
  request: {
    readonly oid: string;
    readonly value: Buffer | undefined;
    readonly controls: readonly Control[];
  },
  session: Session,
) => ExtendedReply | Promise<ExtendedReply>;

export interface DirectoryHooks extends CommitHooks {
  /**
   * Judges a bind with a name (anonymous binds, name and password empty, never come here). Without it every such bind is
   * invalidCredentials. A password without name, or a name without password, is refused before (RFC 4513 §5.1.2).
   */
  authenticate?(attempt: BindAttempt): AuthenticateResult | Promise<AuthenticateResult>;
  /**
   * Changes a password (RFC 3062) of an account that `authenticate` knows; never asked for anonymous sessions, nor without
   * confidentiality. Without it the operation is not supported.
   */
  changePassword?(change: PasswordChange): PasswordChanged | Promise<PasswordChanged>;
  /** Extended operations by OID; they show up in the root DSE. */
  readonly extended?: Readonly<Record<string, ExtendedHandler>>;
  /** Controls of the owner's that its hooks understand (critical ones are refused otherwise). */
  readonly controls?: readonly string[];
  /**
   * Asked before every search below the root DSE, with the base as the client wrote it. A result other than undefined stands in
   * for "nothing found" (busy, while the first load is incomplete); what is found is told all the same. It refuses comparing and
   * content synchronisation altogether.
   */
  searchGate?(session: Session, base: string): LdapResult | undefined;
}
