/** Binds on the perimeter-facing port: pinned client certificate first, password second, then what the pair's life says; and what a first success means. */
import type { Clock } from '../../base/clock.ts';
import type { Files } from '../../base/files.ts';
import { isPosternError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { parseCertificate } from '../../certificate/parse.ts';
import type { Pin } from '../../certificate/pin.ts';
import type { TrustStore } from '../../certificate/trust-store.ts';
import { type AccountName, parseAccountName } from '../../credential/account-name.ts';
import { checkHub, hasPin, judgeBootstrapBind } from '../../credential/bind.ts';
import { findAccount, findHub } from '../../credential/credential-state.ts';
import { pairOf } from '../../credential/edge-pairs.ts';
import type { PairKeeper } from '../../credential/pair-keeper.ts';
import { type BindVerdict, bindVerdictControl, callOf } from '../../credential/renewal-messages.ts';
import {
  type AuthenticateResult,
  type BindAttempt,
  type Directory,
  type Identity,
  resultOf,
  type Session,
} from '../../directory/directory.ts';
import type { ConnectionFacts } from '../../directory/session.ts';
import { bindBootstrapTo, type EdgeDescription, endBootstrap } from '../../subscription/edge-subscription.ts';
import type { EdgeTrustState } from '../../subscription/trust-state.ts';
import { ROLE } from './access.ts';

export interface AuthenticatorOptions {
  readonly directory: () => Directory;
  readonly trust: TrustStore<EdgeTrustState>;
  readonly pairs: PairKeeper<EdgeTrustState>;
  readonly edge: EdgeDescription;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Resolves when credentials that arrived earlier have been dealt with. */
  readonly credentialsSettled: () => Promise<void>;
  readonly onAccountsChanged: () => void;
  /** A hub has bound, with this key. */
  readonly onBound: (hub: string, pin: Pin) => void;
}

/** Of a session with an account: its name, the hub it stands for, the key it proved. */
export interface SessionAccount {
  readonly account: string;
  readonly hub: string;
  readonly pin: Pin;
  /** Of an ESRA: its number, and the instance of the hub that called. */
  readonly esra?: { readonly number: number; readonly instance: string };
}

const ACCOUNT_NOTE = 'account';
const INVALID: AuthenticateResult = { result: resultOf('invalidCredentials') };

export function sessionAccount(session: Session): SessionAccount | undefined {
  return session.notes.get(ACCOUNT_NOTE) as SessionAccount | undefined;
}

/** True while the account that a session was opened with is there and belongs to the same key. Its window is another question. */
export function isGood(
  { accounts, hubs }: Pick<EdgeTrustState, 'accounts' | 'hubs'>,
  { account, hub: hubName, pin }: SessionAccount,
): boolean {
  const found = findAccount(accounts, account);
  if (found === undefined || found.state !== 'active') return false;
  if (found.kind === 'bootstrap') return found.pin === pin;
  const hub = findHub(hubs, hubName);
  return hub !== undefined && hasPin(hub, pin);
}

/** The key that the client of this connection has proved, if any. */
export function peerPin({ kind, resumed, peerCertificate }: ConnectionFacts): Pin | undefined {
  return kind === 'tls' && resumed !== true ? pinOf(peerCertificate) : undefined;
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

type Judged = AuthenticateResult & { readonly why?: string };

async function authenticate(options: AuthenticatorOptions, attempt: BindAttempt): Promise<Judged> {
  const { name, authentication, session } = attempt;
  session.notes.delete(ACCOUNT_NOTE);
  if (session.connection.kind !== 'tls' || authentication.kind !== 'simple')
    return { ...INVALID, why: 'accounts bind with a password over TLS only' };
  const pin = peerPin(session.connection);
  if (pin === undefined) return { ...INVALID, why: 'no usable client certificate was shown' };
  const account = accountOf(options.directory(), name);
  const parsed = account === undefined ? undefined : parseAccountName(account);
  if (account === undefined || parsed === undefined) return { ...INVALID, why: 'the name is no account' };
  await options.credentialsSettled();
  const { password } = authentication;
  return parsed.kind === 'bootstrap'
    ? bootstrapBind(options, session, account, password, pin)
    : hubBind(options, attempt, { ...parsed, account, password, pin });
}

async function bootstrapBind(
  { trust, clock }: AuthenticatorOptions,
  session: Session,
  name: string,
  password: Buffer,
  pin: Pin,
): Promise<Judged> {
  const answer = judgeBootstrapBind(trust.value.accounts, name, password, pin, clock.now());
  if (answer.outcome === 'refused') return { ...INVALID, why: `${answer.code}: ${answer.reason}` };
  if (answer.binds) {
    try {
      await bindBootstrapTo(trust, pin);
    } catch (error) {
      if (isPosternError(error, 'refused')) return { ...INVALID, why: error.message };
      throw error;
    }
  }
  const account = answer.account.name;
  session.notes.set(ACCOUNT_NOTE, { account, hub: '', pin } satisfies SessionAccount);
  return { identity: identityOf(account, ROLE.bootstrap) };
}

interface HubBind extends Extract<AccountName, { kind: 'esra' }> {
  readonly account: string;
  readonly password: Buffer;
  readonly pin: Pin;
}

async function hubBind(
  options: AuthenticatorOptions,
  { controls, session }: BindAttempt,
  bind: HubBind,
): Promise<Judged> {
  const { trust, pairs, edge } = options;
  const { number, account, pin } = bind;
  const check = checkHub(trust.value, edge.name, bind, account, bind.password, pin);
  if (check.outcome === 'refused') return { ...INVALID, why: check.reason };
  if (check.outcome === 'removed')
    return { ...refusal({ outcome: 'not-admitted', highest: -1 }), why: check.reason };
  const call = callOf(controls);
  if (call === undefined) {
    const why = 'hubs say which installation calls, and for the how manieth time (control instance)';
    return { result: resultOf('unwillingToPerform', why), why };
  }
  const hub = check.hub.name;
  const actions = await pairs.handle(hub, { type: 'bind', number, ...call });
  const bound = actions.find((action) => action.type === 'bound');
  if (bound === undefined) {
    const refused = actions.find((action) => action.type === 'refused');
    const outcome = refused?.code ?? 'refused';
    return {
      ...refusal({ outcome, highest: pairOf(trust.value, hub).highest }),
      why: refused?.reason ?? 'the hub was removed meanwhile',
    };
  }
  const esra = { number, instance: call.instance };
  options.onBound(hub, pin);
  if (bound.outcome === 'ok') await prove(options, { account, pin });
  session.notes.set(ACCOUNT_NOTE, { account, hub, pin, esra } satisfies SessionAccount);
  return {
    identity: identityOf(account, HUB_ROLES[bound.outcome]),
    controls: [bindVerdictControl(bound)],
  };
}

const HUB_ROLES = { ok: ROLE.hub, 'who-am-i-only': ROLE.waiting, reused: ROLE.restored } as const;

/** To a hub that has shown its pinned key: it may know why. */
function refusal(verdict: BindVerdict): AuthenticateResult {
  const { outcome } = verdict;
  const result =
    outcome === 'refused'
      ? resultOf('invalidCredentials')
      : resultOf('unwillingToPerform', `credential.${outcome}`);
  return { result, controls: [bindVerdictControl(verdict)] };
}

async function prove(
  options: AuthenticatorOptions,
  proved: { readonly account: string; readonly pin: Pin },
): Promise<void> {
  const ended = await endBootstrap({ ...options, store: options.trust }, proved);
  if (ended === undefined) return;
  options.onAccountsChanged();
  options.directory().terminate((session) => session.identity.role === ROLE.bootstrap);
}

export function accountDn(account: string): string {
  return `cn=${account},cn=Accounts`;
}

function identityOf(account: string, role: string): Identity {
  const dn = accountDn(account);
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
