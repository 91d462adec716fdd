/**
 * The credential service of an edge: turns credential records that arrived in the edge directory into accounts, and the address key's record into
 * the key. The decisions are pure (`judgeRecord`, `withAccounts`); the service opens what they let through and stores the result. Hubs never talk
 * to it: both talk to the edge directory only. It knows no LDAP; the caller reads the objects and tells which session pushed them.
 */
import { type ErrorCode, isPosternError, PosternError } from '../base/error.ts';
import { type Clock, yieldToLoop } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { type Pin, samePin } from '../certificate/pin.ts';
import type { SealingKeyPair } from '../certificate/sealing.ts';
import { type Account, ESRA_CLOCK_TOLERANCE_MS } from './account.ts';
import { nameKey, sameFqdn, sameName } from './account-name.ts';
import { decodeAddressKeyRecord, openAddressKeyRecord, verifyAddressKeyRecord } from './address-key.ts';
import { type Admission, admitHubs, type HubObject, type PushSession } from './admission.ts';
import { withoutExpired } from './bind.ts';
import {
  type AdmittedHub,
  type CredentialState,
  findAccount,
  findHub,
  type StoredAddressKey,
} from './credential-state.ts';
import { digestPassword, missingFromPolicy, type PasswordPolicy } from './password.ts';
import {
  type CredentialRecord,
  decodeCredentialRecord,
  openCredentialRecord,
  verifyCredentialRecord,
} from './record.ts';
import { MOST_AHEAD_MS, MOST_LIFETIME_MS } from './schedule.ts';

/** This edge, as records must name it. */
export interface EdgeNames {
  readonly name: string;
  readonly fqdn: string;
  /** Its own pins: records sealed to the one before a rollover still open. */
  readonly pins: readonly Pin[];
}

export interface RecordFacts {
  readonly edge: EdgeNames;
  readonly hubs: Readonly<Record<string, AdmittedHub>>;
  readonly accounts: readonly Account[];
  readonly now: number;
}

export type RecordVerdict =
  | { readonly verdict: 'open'; readonly record: CredentialRecord; readonly hub: AdmittedHub }
  /** An account was made from this very record before. */
  | { readonly verdict: 'unchanged'; readonly userName: string }
  | {
      readonly verdict: 'refused';
      readonly code: ErrorCode;
      readonly reason: string;
      readonly userName?: string | undefined;
    };

/** Accounts of one hub: two during a renewal, a few more while old ones wait for their end. */
const MOST_ACCOUNTS_OF_A_HUB = 16;
/** Records looked at in one go; the directory's limits keep honest ones far below. */
const MOST_RECORDS = 4096;
/** Refusals of one push that are named in the log. */
const MOST_LOGGED = 20;

/** Whether a record is worth opening. Everything is checked but what is inside: signature, names, times, and what is there already. */
export function judgeRecord(bytes: Uint8Array, facts: RecordFacts): RecordVerdict {
  let record: CredentialRecord;
  try {
    record = decodeCredentialRecord(bytes);
  } catch (error) {
    if (isPosternError(error)) return { verdict: 'refused', code: error.code, reason: error.message };
    throw error;
  }
  const refuse = (code: ErrorCode, reason: string): RecordVerdict => ({
    verdict: 'refused',
    code,
    reason,
    userName: record.userName,
  });
  const { account } = record;
  const { edge, now } = facts;
  if (account.kind !== 'esra')
    return refuse('credential.invalid', 'a bootstrap credential makes no account here');
  if (!sameName(account.edge, edge.name) || !sameFqdn(record.targetServerFqdn, edge.fqdn))
    return refuse('credential.invalid', 'it is for another edge');
  if (!edge.pins.some((pin) => samePin(pin, record.sealedTo)))
    return refuse('credential.invalid', 'it is sealed to another node');
  const hub = findHub(facts.hubs, account.hub);
  if (hub === undefined) return refuse('credential.invalid', `hub ${account.hub} is not admitted`);
  if (!sameFqdn(record.sourceServerFqdn, hub.fqdn))
    return refuse('credential.invalid', `it is for another host than that of hub ${hub.name}`);
  const existing = findAccount(facts.accounts, record.userName);
  if (existing?.recordId === record.id) return { verdict: 'unchanged', userName: existing.name };
  if (now >= record.expiresAt) return refuse('credential.expired', 'it has expired');
  if (record.expiresAt - record.effectiveAt > MOST_LIFETIME_MS)
    return refuse('credential.invalid', 'it lives longer than 400 days');
  if (record.effectiveAt > now + MOST_AHEAD_MS)
    return refuse('credential.invalid', 'it begins more than 90 days from now');
  // Numbers are not used again: another record of the same name is a replay, unless it is newer (a hub set up anew counts from 0).
  if (existing !== undefined && samePinOf(existing, hub) && record.effectiveAt <= existing.effectiveAt)
    return refuse('credential.invalid', 'a newer record of this name was installed before');
  if (
    existing === undefined &&
    facts.accounts.filter((one) => sameName(one.hub ?? '', hub.name)).length >= MOST_ACCOUNTS_OF_A_HUB
  ) {
    return refuse('credential.invalid', `hub ${hub.name} has ${MOST_ACCOUNTS_OF_A_HUB} accounts already`);
  }
  try {
    verifyCredentialRecord(record, pinsOf(hub));
  } catch (error) {
    if (isPosternError(error)) return refuse(error.code, error.message);
    throw error;
  }
  return { verdict: 'open', record, hub };
}

function pinsOf(hub: AdmittedHub): Pin[] {
  return hub.pins.next === undefined ? [hub.pins.current] : [hub.pins.current, hub.pins.next];
}

function samePinOf(account: Account, hub: AdmittedHub): boolean {
  return account.pin !== undefined && pinsOf(hub).includes(account.pin);
}

/**
 * The state with these hubs admitted and these accounts installed (by name); a readmitted hub loses the accounts bound to its former key. Accounts
 * of a hub that is not there (any more) are left out: it may have been removed while its record was opened.
 */
export function withAccounts<T extends CredentialState>(
  state: T,
  admitted: readonly AdmittedHub[],
  accounts: readonly Account[],
): T {
  const hubs = { ...state.hubs };
  for (const hub of admitted) hubs[nameKey(hub.name)] = hub;
  const names = new Set(accounts.map((account) => nameKey(account.name)));
  const kept = state.accounts.filter((account) => !names.has(nameKey(account.name)));
  const all = [...kept, ...accounts].filter((account) => {
    if (account.kind === 'bootstrap') return true;
    const hub = findHub(hubs, account.hub ?? '');
    return hub !== undefined && samePinOf(account, hub);
  });
  return { ...state, hubs, accounts: all };
}

/** Removals remembered; a site has a handful. */
const MOST_REMOVALS = 256;

/** Without the hubs that were removed; their accounts follow, since `withAccounts` keeps none without a hub. */
function withoutHubs<T extends CredentialState>(state: T, { removed, removals }: Admission): T {
  const gone = new Set(removed.map(nameKey));
  const hubs = Object.fromEntries(Object.entries(state.hubs).filter(([key]) => !gone.has(key)));
  const latest = [...removals].sort((a, b) => b[1] - a[1]).slice(0, MOST_REMOVALS);
  return { ...state, hubs, removedHubs: Object.fromEntries(latest) };
}

/** What a push brought; everything as it stands in the edge directory now, not only what changed. */
export interface Arrival {
  readonly session: PushSession;
  /**
   * Asked at the moment of storing: whether that session's account is still there. The subscription may have been removed, or a new file
   * made, while records were opened. Yes unless told.
   */
  readonly stillGood?: (state: CredentialState) => boolean;
  readonly hubs: readonly HubObject[];
  /** posternCredential of this edge's own object. */
  readonly records: readonly Uint8Array[];
  /** posternSealedKey of this edge's own object. */
  readonly addressKeys: readonly Uint8Array[];
}

export interface CredentialReport {
  readonly admitted: readonly string[];
  readonly removed: readonly string[];
  readonly installed: readonly string[];
  readonly unchanged: readonly string[];
  /** Id of the address key that was installed by this arrival. */
  readonly addressKey: string | undefined;
  readonly refused: readonly { readonly what: string; readonly code: ErrorCode; readonly reason: string }[];
}

/** The part of the trust store that the service uses; `update` resolves when the new state is on the disk. */
export interface AccountStore<T extends CredentialState = CredentialState> {
  readonly value: T;
  update(change: (draft: T) => T): Promise<void>;
}

export interface CredentialServiceOptions<T extends CredentialState> {
  readonly store: AccountStore<T>;
  readonly edge: () => EdgeNames;
  readonly sealingKeys: () => readonly SealingKeyPair[];
  readonly policy: PasswordPolicy;
  readonly clock: Pick<Clock, 'now'>;
  readonly random: Random;
  readonly log: Log;
}

export interface CredentialService {
  /** Judges and installs what arrived. One after the other; resolves when everything it reports is on the disk. */
  process(arrival: Arrival): Promise<CredentialReport>;
}

export function createCredentialService<T extends CredentialState>(
  options: CredentialServiceOptions<T>,
): CredentialService {
  let last: Promise<unknown> = Promise.resolve();
  return {
    process(arrival) {
      const next = last.then(() => processArrival(options, arrival));
      last = next.catch(() => undefined);
      return next;
    },
  };
}

async function processArrival<T extends CredentialState>(
  options: CredentialServiceOptions<T>,
  arrival: Arrival,
): Promise<CredentialReport> {
  const { store, log } = options;
  const now = options.clock.now();
  const refused: { what: string; code: ErrorCode; reason: string }[] = [];
  const heard = Object.entries(store.value.removedHubs ?? {}) as [Pin, number][];
  const admission = admitHubs(store.value.hubs, arrival.hubs, arrival.session, now, heard);
  for (const { hub, reason } of admission.refused)
    refused.push({ what: `hub ${hub}`, code: 'credential.invalid', reason });
  const opened = await openRecords(
    options,
    { edge: options.edge(), hubs: admission.hubs, accounts: store.value.accounts, now },
    arrival.records,
  );
  refused.push(...opened.refused);
  const key = await openAddressKey(options, admission.hubs, arrival);
  refused.push(...key.refused);
  const admitted = admission.admitted.flatMap((name) => findHub(admission.hubs, name) ?? []);
  const news =
    admission.admitted.length > 0 ||
    admission.removed.length > 0 ||
    admission.removals.size > heard.length ||
    opened.accounts.length > 0 ||
    key.stored !== undefined;
  if (news) {
    await store.update((draft) => {
      if (arrival.stillGood?.(draft) === false)
        throw new PosternError('refused', 'the account that pushed was taken away meanwhile');
      const remaining = withoutHubs(draft, admission);
      const next = withoutExpired(withAccounts(remaining, admitted, opened.accounts), now);
      return key.stored === undefined ? next : { ...next, addressKey: key.stored };
    });
  }
  for (const hub of admission.admitted)
    log.info('hub admitted', { hub, by: findHub(admission.hubs, hub)?.admittedBy });
  for (const hub of admission.removed)
    log.warn('hub removed: an admitted hub states that it has left the site', { hub });
  for (const { name } of opened.accounts) log.info('replication account installed', { account: name });
  for (const { what, code, reason } of refused.slice(0, MOST_LOGGED))
    log.warn('credential refused', { what, code, reason });
  if (refused.length > MOST_LOGGED)
    log.warn('more credentials were refused', { more: refused.length - MOST_LOGGED });
  return {
    admitted: admission.admitted,
    removed: admission.removed,
    installed: opened.accounts.map((account) => account.name),
    unchanged: opened.unchanged,
    addressKey: key.stored?.id,
    refused,
  };
}

interface Refused {
  what: string;
  code: ErrorCode;
  reason: string;
}

async function openRecords<T extends CredentialState>(
  options: CredentialServiceOptions<T>,
  facts: RecordFacts,
  records: readonly Uint8Array[],
): Promise<{ accounts: Account[]; unchanged: string[]; refused: Refused[] }> {
  const accounts: Account[] = [];
  const unchanged: string[] = [];
  const refused: Refused[] = [];
  for (const bytes of records.slice(0, MOST_RECORDS)) {
    // Each costs a signature; whoever sends thousands must not keep lookups waiting.
    await yieldToLoop();
    const verdict = judgeRecord(bytes, {
      ...facts,
      accounts: [
        ...facts.accounts.filter((one) => findAccount(accounts, one.name) === undefined),
        ...accounts,
      ],
    });
    if (verdict.verdict === 'unchanged') unchanged.push(verdict.userName);
    else if (verdict.verdict === 'refused')
      refused.push({
        what: verdict.userName ?? 'a credential record',
        code: verdict.code,
        reason: verdict.reason,
      });
    else {
      try {
        const account = await openAccount(options, verdict.record, verdict.hub);
        const at = accounts.findIndex((one) => sameName(one.name, account.name));
        accounts.splice(at < 0 ? accounts.length : at, at < 0 ? 0 : 1, account);
      } catch (error) {
        if (!isPosternError(error)) throw error;
        refused.push({ what: verdict.record.userName, code: error.code, reason: error.message });
      }
    }
  }
  return { accounts, unchanged, refused };
}

async function openAccount<T extends CredentialState>(
  options: CredentialServiceOptions<T>,
  record: CredentialRecord,
  hub: AdmittedHub,
): Promise<Account> {
  const password = await openCredentialRecord(record, options.sealingKeys());
  try {
    const missing = missingFromPolicy(password.revealText(), options.policy);
    if (missing !== undefined) {
      throw new PosternError(
        'credential.invalid',
        `its password does not fit the policy of this edge: ${missing}`,
        { hint: 'publish the policy to the hubs' },
      );
    }
    return {
      name: record.userName,
      kind: 'esra',
      hub: hub.name,
      pin: record.issuer,
      password: digestPassword(password, options.random),
      state: 'active',
      recordId: record.id,
      effectiveAt: record.effectiveAt,
      expiresAt: record.expiresAt,
    };
  } finally {
    password.erase();
  }
}

/**
 * A new address key changes every stored hash, so it is taken only when there is none, or from the hub that presents a new subscription file.
 * Of several records the latest made counts.
 */
async function openAddressKey<T extends CredentialState>(
  options: CredentialServiceOptions<T>,
  hubs: Readonly<Record<string, AdmittedHub>>,
  arrival: Arrival,
): Promise<{ stored: StoredAddressKey | undefined; refused: Refused[] }> {
  const edge = options.edge();
  const refused: Refused[] = [];
  let present = options.store.value.addressKey;
  let stored: StoredAddressKey | undefined;
  for (const bytes of arrival.addressKeys.slice(0, MOST_RECORDS)) {
    await yieldToLoop();
    try {
      const record = decodeAddressKeyRecord(bytes);
      if (record.id === present?.recordId || record.keyId === present?.id) continue;
      const mayReplace =
        present === undefined ||
        (arrival.session.role === 'bootstrap' && record.createdAt > present.createdAt);
      if (!mayReplace)
        throw new PosternError(
          'credential.invalid',
          'this edge has another address key, and only a new subscription replaces it',
        );
      // One from the future could never be followed by another.
      if (record.createdAt > options.clock.now() + ESRA_CLOCK_TOLERANCE_MS)
        throw new PosternError('credential.invalid', 'it was made in the future');
      if (!sameFqdn(record.edgeFqdn, edge.fqdn) || !edge.pins.some((pin) => samePin(pin, record.sealedTo)))
        throw new PosternError('credential.invalid', 'it is for another edge');
      verifyAddressKeyRecord(record, Object.values(hubs).flatMap(pinsOf));
      const { id, key } = await openAddressKeyRecord(record, options.sealingKeys());
      stored = { id, key, createdAt: record.createdAt, recordId: record.id };
      present = stored;
    } catch (error) {
      if (!isPosternError(error)) throw error;
      refused.push({ what: 'an address key', code: error.code, reason: error.message });
    }
  }
  return { stored, refused };
}
