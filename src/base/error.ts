/**
 * The one error class. Every failure that reaches an administrator has a literal `code`, a message in lower case,
 * a `hint` that says what to do, and data in `fields` (never secrets).
 */

/** Codes by area; the area is the part before the first dot. The list in `docs/errors.md` is checked against this one. */
export type ErrorCode =
  // any area
  | 'internal'
  | 'usage'
  | 'not-found'
  | 'refused'
  | 'canceled'
  // files and data folders
  | 'file.unreadable'
  | 'file.unwritable'
  | 'file.permissions'
  | 'folder.in-use'
  | 'config.invalid'
  // wire formats
  | 'decode'
  // certificates and trust
  | 'certificate.invalid'
  | 'pin.mismatch'
  | 'statement.invalid'
  | 'seal.open-failed'
  | 'trust.damaged'
  // LDAP
  | 'ldap.result'
  | 'ldap.closed'
  | 'ldap.protocol'
  | 'ldap.timeout'
  | 'tls.failed'
  | 'connect.failed'
  | 'name.unresolvable'
  | 'listen.failed'
  // directory engine
  | 'store.damaged'
  | 'store.write-failed'
  | 'store.full'
  | 'store.closed'
  | 'schema.invalid'
  // subscription
  | 'subscription.expired'
  | 'subscription.not-yet-valid'
  | 'subscription.tampered'
  | 'subscription.malformed'
  | 'subscription.too-large'
  | 'subscription.duplicate'
  | 'subscription.wrong-hub'
  | 'subscription.unknown'
  // credentials
  | 'credential.invalid'
  | 'credential.expired'
  | 'credential.unconfirmed'
  | 'credential.restored'
  | 'credential.recovered'
  | 'credential.recovery-waits'
  | 'credential.recovery-exhausted'
  | 'credential.two-instances'
  | 'credential.not-admitted'
  | 'clock.skew'
  // synchronisation
  | 'source.unavailable'
  | 'source.incomplete'
  | 'source.behind'
  | 'source.invalid'
  | 'lease.held'
  | 'lease.lost'
  | 'sync.mismatch'
  // charon, by vici
  | 'vici.unreachable'
  | 'vici.closed'
  | 'vici.timeout'
  | 'vici.refused'
  | 'vici.unsupported'
  | 'vici.too-large'
  // IPsec policies
  | 'ipsec.guard'
  | 'ipsec.kernel'
  | 'ipsec.settings'
  | 'ipsec.trial'
  | 'ipsec.peer'
  // daemons
  | 'daemon.unreachable'
  | 'daemon.running';

export type ErrorFields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface ErrorOptions {
  /** What the administrator should do now: a sentence or a command. */
  hint?: string;
  cause?: unknown;
  fields?: ErrorFields;
}

export class PosternError extends Error {
  override readonly name: string = 'PosternError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly fields: ErrorFields;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.fields = options.fields ?? {};
  }
}

/** True when `error` is a PosternError with one of `codes` (any code when none is given). */
export function isPosternError(error: unknown, ...codes: ErrorCode[]): error is PosternError {
  return error instanceof PosternError && (codes.length === 0 || codes.includes(error.code));
}

/** A one-line description of anything thrown, causes included; for logs and command-line output. */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  let at: unknown = error;
  // Counted, since causes may form a ring.
  for (let depth = 0; depth < 5 && at !== undefined && at !== null; depth++) {
    const text = at instanceof Error ? at.message || at.name : String(at);
    if (parts.at(-1)?.includes(text) !== true) parts.push(text);
    at = (at as { cause?: unknown }).cause;
  }
  return parts.join(': ');
}
