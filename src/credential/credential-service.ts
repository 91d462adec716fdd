/**
 * The credential service of an edge: turns credential records that arrived in the edge directory into accounts, and the address key's record into
 * the key. What is an account is decided in `lifecycle/`; the service opens what that lets through and stores the result. Hubs never talk
 * to it: both talk to the edge directory only. It knows no LDAP; the caller reads the objects and tells which session pushed them.
 */
import { type ErrorCode, isPosternError, PosternError } from '../base/error.ts';
import { type Clock, yieldToLoop } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { pinsOf } from '../certificate/peer-pins.ts';
import { type Pin, samePin } from '../certificate/pin.ts';
import { ESRA_CLOCK_TOLERANCE_MS } from './account.ts';
import { nameKey, sameFqdn } from './account-name.ts';
import { decodeAddressKeyRecord, openAddressKeyRecord, verifyAddressKeyRecord } from './address-key.ts';
import { type Admission, admitHubs, followObject, type HubObject, type PushSession } from './admission.ts';
import { hasPin, withoutExpiredBootstrap } from './bind.ts';
import {
  type AdmittedHub,
  type CredentialState,
  findHub,
  type StoredAddressKey,
} from './credential-state.ts';
import type { EdgePair } from './lifecycle/edge-pair.ts';
import { stepEdge } from './lifecycle/lifecycle.ts';
import { type AccountSecret, pairOf, stepPair, withoutPair } from './edge-pairs.ts';
import { type EdgeNames, openRecord, readRecord, recordEvent, type RecordKeys } from './judge-record.ts';
import type { AccountStore } from './pair-keeper.ts';
import type { CredentialRecord } from './record.ts';
import { DEFAULT_TIMINGS, type RenewalTimings } from './schedule.ts';

export type { EdgeNames } from './judge-record.ts';
export type { AccountStore } from './pair-keeper.ts';

/** Records looked at in one go; the directory's limits keep honest ones far below. */
const MOST_RECORDS = 4096;
/** Refusals of one push that are named in the log. */
const MOST_LOGGED = 20;

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

export interface CredentialServiceOptions<T extends CredentialState> extends RecordKeys {
  readonly store: AccountStore<T>;
  readonly edge: () => EdgeNames;
  /** The usual ones unless told. */
  readonly timings?: RenewalTimings;
  readonly clock: Pick<Clock, 'now'>;
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
  const admitted = withAdmission(store.value, admission, arrival.hubs, now);
  const opened = await openRecords(options, admitted, arrival, now);
  refused.push(...opened.refused);
  const key = await openAddressKey(options, admission.hubs, arrival);
  refused.push(...key.refused);
  const news =
    admission.admitted.length > 0 ||
    admission.removed.length > 0 ||
    admission.followed.length > 0 ||
    admission.removals.size > heard.length ||
    opened.records.length > 0 ||
    key.stored !== undefined;
  if (news) {
    await store.update((draft) => {
      if (arrival.stillGood?.(draft) === false)
        throw new PosternError('refused', 'the account that pushed was taken away meanwhile');
      let next = withAdmission(draft, admission, arrival.hubs, now);
      for (const one of opened.records) next = withRecord(next, one, now, options);
      return key.stored === undefined ? next : { ...next, addressKey: key.stored };
    });
  }
  const installed = opened.records.map(({ record }) => record.userName);
  for (const hub of admission.admitted)
    log.info('hub admitted', { hub, by: findHub(admission.hubs, hub)?.admittedBy });
  for (const hub of admission.followed) log.info('a hub has announced its next certificate', { hub });
  for (const hub of admission.removed)
    log.warn('hub removed: an admitted hub states that it has left the site', { hub });
  for (const name of installed) log.info('replication account installed', { account: name });
  for (const { what, code, reason } of refused.slice(0, MOST_LOGGED))
    log.warn('credential refused', { what, code, reason });
  if (refused.length > MOST_LOGGED)
    log.warn('more credentials were refused', { more: refused.length - MOST_LOGGED });
  return {
    admitted: admission.admitted,
    removed: admission.removed,
    installed,
    unchanged: opened.unchanged,
    addressKey: key.stored?.id,
    refused,
  };
}

/** Removals remembered; a site has a handful. */
const MOST_REMOVALS = 256;

/**
 * The state with hubs removed and admitted: the pair of a removed one ends with it; one that was set up anew, with another key, begins anew. What
 * was decided from an earlier state holds for this one, too: hubs that came in the meantime stay.
 */
function withAdmission<T extends CredentialState>(
  state: T,
  admission: Admission,
  objects: readonly HubObject[],
  now: number,
): T {
  let next: T = withoutExpiredBootstrap({ ...state, hubs: { ...state.hubs } }, now);
  for (const name of admission.removed) {
    next = withoutPair(next, name);
    delete next.hubs[nameKey(name)];
  }
  for (const hub of admission.followed.flatMap((name) => findHub(next.hubs, name) ?? []))
    next.hubs[nameKey(hub.name)] = followObject(hub, objects);
  for (const hub of admission.admitted.flatMap((name) => findHub(admission.hubs, name) ?? [])) {
    const before = findHub(next.hubs, hub.name);
    if (before === undefined || !hasPin(before, hub.pins.current)) next = withoutPair(next, hub.name);
    next.hubs[nameKey(hub.name)] = hub;
  }
  const latest = [...admission.removals].sort((a, b) => b[1] - a[1]).slice(0, MOST_REMOVALS);
  return { ...next, removedHubs: Object.fromEntries(latest) };
}

interface OpenedRecord {
  readonly record: CredentialRecord;
  readonly number: number;
  readonly hub: string;
  readonly secret: AccountSecret;
  /** The pair begins anew with it. */
  readonly anew: boolean;
}

/** The state with the account of one record; the same state when its hub, or the key that issued it, has gone in the meantime. */
function withRecord<T extends CredentialState>(
  state: T,
  { record, number, hub: name, secret, anew }: OpenedRecord,
  now: number,
  { timings = DEFAULT_TIMINGS }: Pick<CredentialServiceOptions<T>, 'timings'>,
): T {
  const hub = findHub(state.hubs, name);
  if (hub === undefined || !hasPin(hub, record.issuer)) return state;
  const from = anew ? withoutPair(state, name) : state;
  return stepPair(from, hub, recordEvent(record, number), now, timings, new Map([[number, secret]])).state;
}

interface Refused {
  what: string;
  code: ErrorCode;
  reason: string;
}

async function openRecords<T extends CredentialState>(
  options: CredentialServiceOptions<T>,
  state: T,
  arrival: Arrival,
  now: number,
): Promise<{ records: OpenedRecord[]; unchanged: string[]; refused: Refused[] }> {
  const { timings = DEFAULT_TIMINGS } = options;
  const records: OpenedRecord[] = [];
  const unchanged: string[] = [];
  const refused: Refused[] = [];
  let next = state;
  for (const bytes of arrival.records.slice(0, MOST_RECORDS)) {
    // Each costs a signature; whoever sends thousands must not keep lookups waiting.
    await yieldToLoop();
    const reading = readRecord(bytes, options.edge(), next.hubs);
    if (reading.verdict === 'refused') {
      const { userName, code, reason } = reading;
      refused.push({ what: userName ?? 'a credential record', code, reason });
      continue;
    }
    const { record, number, hub } = reading;
    const pair = pairOf(next, hub.name);
    if (pair.accounts.some((one) => one.recordId === record.id || isResealed(record, number, one))) {
      unchanged.push(record.userName);
      continue;
    }
    const refuse = (code: ErrorCode, reason: string): void =>
      void refused.push({ what: record.userName, code, reason });
    if (now >= record.expiresAt) {
      refuse('credential.expired', 'it has expired');
      continue;
    }
    // Nothing that would be refused anyway is worth a signature.
    const { actions } = stepEdge(pair, recordEvent(record, number), now, timings);
    const no = actions.find((one) => one.type === 'record-refused');
    const anew = no !== undefined && beginsAnew(pair, record, hub, number, arrival.session);
    if (no !== undefined && !anew) {
      refuse('credential.invalid', no.reason);
      continue;
    }
    try {
      const secret = await openRecord(record, hub, options);
      const opened = { record, number, hub: hub.name, secret, anew };
      const after = withRecord(next, opened, now, options);
      if (pairOf(after, hub.name).accounts.some((one) => one.recordId === record.id)) records.push(opened);
      else refuse('credential.invalid', 'its times are not acceptable');
      next = after;
    } catch (error) {
      if (!isPosternError(error)) throw error;
      refuse(error.code, error.message);
    }
  }
  return { records, unchanged, refused };
}

/** The same credential, sealed and signed again after a rollover. Nothing of it is looked at. */
function isResealed(
  record: CredentialRecord,
  number: number,
  account: EdgePair['accounts'][number],
): boolean {
  return (
    account.number === number &&
    account.effectiveAt === record.effectiveAt &&
    account.expiresAt === record.expiresAt
  );
}

/**
 * A new subscription file is the administrator's word: the hub that presents it comes back after its pair has ended, and may count from 0 again when it
 * was set up anew with its old key. A record that is not newer than every account of the pair is a replay all the same.
 */
function beginsAnew(
  pair: EdgePair,
  record: CredentialRecord,
  hub: AdmittedHub,
  number: number,
  session: PushSession,
): boolean {
  return (
    session.role === 'bootstrap' &&
    hasPin(hub, session.peerPin) &&
    (pair.phase === 'ended' || number <= Math.max(pair.highest, pair.floor)) &&
    pair.accounts.every((one) => one.effectiveAt < record.effectiveAt)
  );
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
      verifyAddressKeyRecord(
        record,
        Object.values(hubs).flatMap((hub) => pinsOf(hub.pins)),
      );
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
