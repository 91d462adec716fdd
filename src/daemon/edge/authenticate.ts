/** Binds on the perimeter-facing port: pinned client certificate first, password second, and what a first success means. */
import type { Clock } from '../../base/clock.ts';
import type { Files } from '../../base/files.ts';
import { isPosternError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { parseCertificate } from '../../certificate/parse.ts';
import type { Pin } from '../../certificate/pin.ts';
import type { TrustStore } from '../../certificate/trust-store.ts';
import { parseAccountName } from '../../credential/account-name.ts';
import { judgeBind } from '../../credential/bind.ts';
import type { Account } from '../../credential/account.ts';
import {
  type AuthenticateResult,
  type BindAttempt,
  type Directory,
  type Identity,
  resultOf,
  type Session,
} from '../../directory/directory.ts';
import { bindBootstrapTo, type EdgeDescription, endBootstrap } from '../../subscription/edge-subscription.ts';
import type { EdgeTrustState } from '../../subscription/trust-state.ts';
import { ROLE } from './access.ts';

export interface AuthenticatorOptions {
  readonly directory: () => Directory;
  readonly trust: TrustStore<EdgeTrustState>;
  readonly edge: EdgeDescription;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Resolves when credentials that arrived earlier have been dealt with. */
  readonly credentialsSettled: () => Promise<void>;
  readonly onAccountsChanged: () => void;
}

/** Of a session with an account: its name, the hub it stands for, the key it proved. */
export interface SessionAccount {
  readonly account: string;
  readonly hub: string;
  readonly pin: Pin;
}

const ACCOUNT_NOTE = 'account';
const INVALID: AuthenticateResult = { result: resultOf('invalidCredentials') };

export function sessionAccount(session: Session): SessionAccount | undefined {
  return session.notes.get(ACCOUNT_NOTE) as SessionAccount | undefined;
}

/** True while the account that a session was opened with is there and belongs to the same key. Its window is another question. */
export function isGood(accounts: readonly Account[], { account, pin }: SessionAccount): boolean {
  const found = accounts.find((one) => one.name === account);
  return found !== undefined && found.state === 'active' && found.pin === pin;
}

/** The directory's `authenticate` hook; slowing failing sources down is the directory's own business. */
export function createAuthenticator(
  options: AuthenticatorOptions,
): (attempt: BindAttempt) => Promise<AuthenticateResult> {
  return async (attempt) => {
    const { why, ...result } = await authenticate(options, attempt);
    if (why !== undefined)
      options.log.warn('a bind was refused', {
        from: attempt.session.connection.remoteAddress,
        as: nameForLog(options.directory(), attempt.name),
        why,
      });
    return result as AuthenticateResult;
  };
}

/** What stands where the name belongs is a password as often as not: only the name of an account is repeated. */
function nameForLog(directory: Directory, name: string): string {
  const account = accountOf(directory, name);
  return account !== undefined && parseAccountName(account) !== undefined
    ? account
    : '(no name of an account)';
}

async function authenticate(
  options: AuthenticatorOptions,
  { name, authentication, session }: BindAttempt,
): Promise<AuthenticateResult & { why?: string }> {
  const { trust, clock } = options;
  const { connection } = session;
  session.notes.delete(ACCOUNT_NOTE);
  if (connection.kind !== 'tls' || authentication.kind !== 'simple')
    return { ...INVALID, why: 'accounts bind with a password over TLS only' };
  const pin = connection.resumed === true ? undefined : pinOf(connection.peerCertificate);
  if (pin === undefined) return { ...INVALID, why: 'no usable client certificate was shown' };
  const accountName = accountOf(options.directory(), name);
  if (accountName === undefined) return { ...INVALID, why: 'the name is no account' };
  await options.credentialsSettled();
  const answer = judgeBind(trust.value.accounts, accountName, authentication.password, pin, clock.now());
  if (answer.outcome === 'refused') return { ...INVALID, why: `${answer.code}: ${answer.reason}` };
  const { account } = answer;
  if (answer.bindsBootstrap) {
    try {
      await bindBootstrapTo(trust, pin);
    } catch (error) {
      if (isPosternError(error, 'refused')) return { ...INVALID, why: error.message };
      throw error;
    }
  }
  if (answer.proves) await prove(options, account);
  const hub = account.hub ?? '';
  session.notes.set(ACCOUNT_NOTE, { account: account.name, hub, pin } satisfies SessionAccount);
  return { identity: identityOf(account, answer.outcome === 'ok') };
}

async function prove(options: AuthenticatorOptions, account: Account): Promise<void> {
  const ended = await endBootstrap({ ...options, store: options.trust }, account);
  if (ended === undefined) return;
  options.onAccountsChanged();
  options.directory().terminate((session) => session.identity.role === ROLE.bootstrap);
}

export function accountDn(account: string): string {
  return `cn=${account},cn=Accounts`;
}

function identityOf(account: Account, effective: boolean): Identity {
  const dn = accountDn(account.name);
  const role = !effective ? ROLE.waiting : account.kind === 'bootstrap' ? ROLE.bootstrap : ROLE.hub;
  return { role, dn, authorizationId: `dn:${dn}` };
}

function pinOf(der: Buffer | undefined): Pin | undefined {
  if (der === undefined) return undefined;
  try {
    return parseCertificate(der).pin;
  } catch (error) {
    if (isPosternError(error)) return undefined;
    throw error;
  }
}

/** `cn=NAME,cn=Accounts` in any spelling -> NAME. */
function accountOf(directory: Directory, dn: string): string | undefined {
  const name = directory.database.names.tryRead(dn);
  const parent = name?.parent;
  if (
    name === undefined ||
    parent === undefined ||
    directory.database.resolve(parent) !== directory.resolve('cn=Accounts')
  )
    return undefined;
  const [part, ...others] = name.parts;
  return part?.type.name === 'cn' && others.length === 0 ? part.value.toString('utf8') : undefined;
}
