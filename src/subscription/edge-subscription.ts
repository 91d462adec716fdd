/**
 * The edge's side of a subscription: making the bootstrap account and the file, following the bootstrap to its end, and ending it all. Pure cores
 * over the trust state with thin drivers; the edge's daemon hands in store, files, clock and randomness.
 */
import type { Clock } from '../base/clock.ts';
import { formatDuration } from '../base/duration.ts';
import { PosternError } from '../base/error.ts';
import type { Files } from '../base/files.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import type { Secret } from '../base/secret.ts';
import { type Identity, signAs } from '../certificate/identity.ts';
import type { Pin } from '../certificate/pin.ts';
import { seal } from '../certificate/sealing.ts';
import type { Account } from '../credential/account.ts';
import { checkNodeName, formatAccountName } from '../credential/account-name.ts';
import { afterProvingBind, withBootstrapBound, withoutExpiredBootstrap } from '../credential/bind.ts';
import { bootstrapAccount } from '../credential/credential-state.ts';
import type { AccountStore } from '../credential/credential-service.ts';
import { createPassword, digestPassword, type PasswordPolicy } from '../credential/password.ts';
import type { Window } from '../credential/schedule.ts';
import {
  DEFAULT_PORT,
  type FileTexts,
  passwordContextOf,
  signedBytesOf,
  subscriptionId,
  writeSubscriptionXml,
} from './file.ts';
import type { HubPublic } from './hub-public.ts';
import { loadSubscriptionFile } from './file-reader.ts';
import { formatPolicy } from './policy-text.ts';
import { ticksFromDuration, ticksFromUnixMs } from './ticks.ts';
import { type EdgeTrustState, withUsed } from './trust-state.ts';
import { FORMAT, SIGNATURE_DOMAIN } from './validate.ts';

export const DEFAULT_TTL_MS = 24 * 3_600_000;
export const SHORTEST_TTL_MS = 2 * 60_000;
export const LONGEST_TTL_MS = 30 * 86_400_000;
/** HPKE info of a sealed ESRAPassword. */
export const PASSWORD_PURPOSE = 'postern subscription password v1';

/** This edge, as its file describes it. */
export interface EdgeDescription {
  readonly name: string;
  /** Lower case. */
  readonly fqdn: string;
  /** As hubs reach it from inside; 50636 unless told. */
  readonly port?: number | undefined;
  readonly identity: Identity;
  readonly sealingStatement: Buffer;
  readonly policy: PasswordPolicy;
  /** For SerialNumber, for example "Postern 0.1.0". */
  readonly productVersion: string;
}

/** The file's bytes for one bootstrap account. */
export async function buildSubscriptionFile(
  edge: EdgeDescription,
  window: Window,
  password: Secret,
  sealTo?: HubPublic,
): Promise<{ bytes: Buffer; id: string }> {
  const unsealed: FileTexts = {
    EdgeServerName: checkNodeName(edge.name, 'edge'),
    EdgeServerFQDN: edge.fqdn,
    EdgeCertificateBlob: edge.identity.certificate.der.toString('base64'),
    ESRAUsername: formatAccountName({ kind: 'bootstrap', edge: edge.name }),
    EffectiveDate: String(ticksFromUnixMs(window.effectiveAt)),
    Duration: String(ticksFromDuration(window.expiresAt - window.effectiveAt)),
    AdamSslPort: String(edge.port ?? DEFAULT_PORT),
    ProductID: '',
    VersionNumber: '1',
    SerialNumber: edge.productVersion,
    PosternFormat: String(FORMAT),
    PosternSealingStatement: edge.sealingStatement.toString('base64'),
    PosternPasswordPolicy: formatPolicy(edge.policy),
    ...(sealTo === undefined ? {} : { PosternSealedTo: `${sealTo.name} ${sealTo.pin}` }),
  };
  const ESRAPassword =
    sealTo === undefined
      ? password.revealText()
      : (
          await seal(sealTo.sealingKey, password, {
            info: PASSWORD_PURPOSE,
            associatedData: passwordContextOf(unsealed),
          })
        ).toString('base64');
  const texts: FileTexts = { ...unsealed, ESRAPassword };
  const signedBytes = signedBytesOf(texts);
  const signature = signAs(edge.identity, SIGNATURE_DOMAIN, signedBytes);
  return {
    bytes: writeSubscriptionXml({ ...texts, PosternSignature: signature.toString('base64') }),
    id: subscriptionId(signedBytes),
  };
}

export interface CreateOptions {
  /** 24 h unless told; 2 min to 30 d. */
  readonly ttlMs?: number | undefined;
  readonly sealTo?: HubPublic | undefined;
  /** Where whoever asked will put the file: the edge deletes or names this copy once the bootstrap was used. */
  readonly path?: string | undefined;
}

export interface EdgeSubscriptionDeps {
  readonly store: AccountStore<EdgeTrustState>;
  readonly edge: EdgeDescription;
  readonly clock: Pick<Clock, 'now'>;
  readonly random: Random;
  readonly log: Log;
}

export interface CreatedSubscription {
  /** To be written 0600, and never logged: a secret unless it is sealed. */
  readonly bytes: Buffer;
  readonly id: string;
  readonly userName: string;
  readonly effectiveAt: number;
  readonly expiresAt: number;
  /** Path of an earlier file that is worthless now. */
  readonly superseded: string | undefined;
}

/**
 * Makes the bootstrap account, durable before the file exists anywhere, and the file. An earlier unused file becomes worthless. Hubs that are admitted
 * already stay so. Throws `usage` for a length of life out of range.
 */
export async function createSubscription(
  deps: EdgeSubscriptionDeps,
  options: CreateOptions = {},
): Promise<CreatedSubscription> {
  const { edge, store, random } = deps;
  const ttlMs = options.ttlMs ?? DEFAULT_TTL_MS;
  if (!Number.isInteger(ttlMs) || ttlMs < SHORTEST_TTL_MS || ttlMs > LONGEST_TTL_MS) {
    throw new PosternError(
      'usage',
      `a subscription file lives from ${formatDuration(SHORTEST_TTL_MS)} to ${formatDuration(LONGEST_TTL_MS)}`,
      {
        hint: 'give --ttl 24h, for example',
      },
    );
  }
  const now = deps.clock.now();
  const window = { effectiveAt: now, expiresAt: now + ttlMs };
  const password = createPassword(edge.policy, random);
  try {
    const { bytes, id } = await buildSubscriptionFile(edge, window, password, options.sealTo);
    const account: Account = {
      name: formatAccountName({ kind: 'bootstrap', edge: edge.name }),
      kind: 'bootstrap',
      pin: options.sealTo?.pin,
      password: digestPassword(password, random),
      state: 'active',
      ...window,
    };
    const superseded = store.value.subscription?.path;
    await store.update((draft) =>
      withBootstrap(draft, account, { id, path: options.path, sealTo: options.sealTo }),
    );
    deps.log.info('subscription file made', {
      account: account.name,
      expires: new Date(window.expiresAt).toISOString(),
      sealedTo: options.sealTo?.name,
    });
    return { bytes, id, userName: account.name, ...window, superseded };
  } finally {
    password.erase();
  }
}

function withBootstrap(
  state: EdgeTrustState,
  account: Account,
  file: { id: string; path?: string | undefined; sealTo?: HubPublic | undefined },
): EdgeTrustState {
  return {
    ...state,
    accounts: [...state.accounts.filter((one) => one.kind !== 'bootstrap'), account],
    subscription: {
      id: file.id,
      createdAt: account.effectiveAt,
      expiresAt: account.expiresAt,
      path: file.path,
      sealedTo: file.sealTo === undefined ? undefined : { hub: file.sealTo.name, pin: file.sealTo.pin },
    },
  };
}

/**
 * Before a bootstrap bind is answered: the account now belongs to that client's key, on the disk. Throws `refused` when another client was faster, or the
 * account went away in the meantime: of two binds judged at once only one may succeed.
 */
export async function bindBootstrapTo(store: AccountStore<EdgeTrustState>, peerPin: Pin): Promise<void> {
  await store.update((draft) => {
    const bound = withBootstrapBound(draft, peerPin);
    if (bootstrapAccount(bound.accounts)?.pin === peerPin) return bound;
    throw new PosternError('refused', 'the bootstrap account belongs to another client', {
      hint: 'if no hub of yours used the file, somebody else has it: remove the subscription on the edge and make a new file',
    });
  });
}

export interface BootstrapEnd {
  /** Where the edge's own copy of the file was written, when that is known. */
  readonly path: string | undefined;
  /** `left`: it could not be deleted, or is another file now: to be named to the administrator. */
  readonly copy: 'deleted' | 'gone' | 'left';
}

/**
 * After a proving ESRA bind: the bootstrap account goes, on the disk; then the edge's own copy of the file. `undefined` when that bind proved nothing
 * new. The caller ends sessions that are still bound as the bootstrap account.
 */
export async function endBootstrap(
  deps: Pick<EdgeSubscriptionDeps, 'store' | 'clock' | 'log' | 'edge'> & { readonly files: Files },
  proved: { readonly account: string; readonly pin: Pin },
): Promise<BootstrapEnd | undefined> {
  const { store, log } = deps;
  if (afterProvingBind(store.value, proved.pin) === store.value) return undefined;
  const { subscription } = store.value;
  await store.update((draft) =>
    withoutBootstrap(afterProvingBind(draft, proved.pin), deps.edge.name, deps.clock.now()),
  );
  log.info('bootstrap account deleted: the hub has proved its own account', { account: proved.account });
  if (subscription?.path === undefined) return { path: undefined, copy: 'gone' };
  const { path } = subscription;
  const copy = await deleteUsedFile(deps.files, path, subscription.id);
  if (copy === 'deleted') log.info('the used subscription file was deleted', { path });
  if (copy === 'left') {
    await store.update((draft) => ({ ...draft, leftFile: path }));
    log.warn('the used subscription file could not be deleted: delete it by hand', { path });
  }
  return { path, copy };
}

/** Deletes the file only if it is the very one: the path came from outside, and something else may be there by now. */
async function deleteUsedFile(files: Files, path: string, id: string): Promise<BootstrapEnd['copy']> {
  try {
    if (!(await files.exists(path))) return 'gone';
    if ((await loadSubscriptionFile(files, path)).id !== id) return 'left';
    await files.remove(path);
    return (await files.exists(path)) ? 'left' : 'deleted';
  } catch {
    return 'left';
  }
}

/** Drops `subscription` when its account is gone, and remembers the file's id. */
function withoutBootstrap(state: EdgeTrustState, edgeName: string, now: number): EdgeTrustState {
  if (state.subscription === undefined || state.accounts.some((account) => account.kind === 'bootstrap'))
    return state;
  const { subscription, ...rest } = state;
  return withUsed(rest, subscription.id, edgeName, now);
}

/** A bootstrap account that was never used in time is taken out. True when it went. */
export async function dropExpiredBootstrap(
  deps: Pick<EdgeSubscriptionDeps, 'store' | 'clock' | 'edge'>,
): Promise<boolean> {
  const now = deps.clock.now();
  if (withoutExpiredBootstrap(deps.store.value, now) === deps.store.value) return false;
  await deps.store.update((draft) =>
    withoutBootstrap(withoutExpiredBootstrap(draft, now), deps.edge.name, now),
  );
  return true;
}

/**
 * The edge's trust after its subscription was removed: no hub is trusted, no account is left. The address key stays only when the data stay; the lease
 * epoch stays in any case, so that no former holder's writes can ever be taken for new ones.
 */
export function removedEdgeTrust(
  state: EdgeTrustState,
  edgeName: string,
  options: { readonly keepData: boolean },
  now: number,
): EdgeTrustState {
  const { addressKey, ...rest } = withoutBootstrap({ ...state, accounts: [] }, edgeName, now);
  const removed: EdgeTrustState = {
    ...rest,
    accounts: [],
    hubs: {},
    pairs: {},
    lease: { epoch: state.lease.epoch + 1, holder: '', expiresAt: 0 },
    removals: {},
  };
  return options.keepData && addressKey !== undefined ? { ...removed, addressKey } : removed;
}
