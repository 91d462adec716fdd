/** The controls of a request, decoded and judged: which we know, which make no sense here, which make us refuse (RFC 4511 §4.1.11). */
import { CONTROL, oidName } from '../../ldap/control.ts';
import {
  decodeAssertion,
  decodePagedResults,
  decodeReadRequest,
  decodeSortRequest,
  type PagedResults,
  type SortKey,
} from '../../ldap/control-values.ts';
import type { Control, Filter, Request } from '../../ldap/message.ts';
import { decodeSyncRequest, type SyncRequest } from '../../ldap/sync-values.ts';
import { requireNoValue } from '../../ldap/value.ts';
import { refuse } from '../refusal.ts';

export interface RequestControls {
  readonly assertion?: Filter;
  readonly preRead?: readonly string[];
  readonly postRead?: readonly string[];
  readonly paged?: PagedResults;
  readonly sort?: SortRequest;
  readonly sync?: SyncRequest;
  /** RFC 5805: identifier of the transaction that the update belongs to. */
  readonly transaction?: Buffer;
  readonly idempotent?: boolean;
  readonly treeDelete?: boolean;
}

/** RFC 2891; what can't be sorted is refused or comes unsorted, which the client says by criticality. */
export interface SortRequest {
  readonly keys: readonly SortKey[];
  readonly critical: boolean;
}

const UPDATES: readonly Request['op'][] = ['addRequest', 'modifyRequest', 'deleteRequest', 'modifyDnRequest'];

/** Where each control may stand. Anything else is unknown: refused when critical, else passed over. */
const PLACES: ReadonlyMap<string, readonly Request['op'][]> = new Map<string, readonly Request['op'][]>([
  [CONTROL.assertion, [...UPDATES, 'searchRequest', 'compareRequest']],
  [CONTROL.preRead, ['modifyRequest', 'deleteRequest', 'modifyDnRequest']],
  [CONTROL.postRead, ['addRequest', 'modifyRequest', 'modifyDnRequest']],
  [CONTROL.pagedResults, ['searchRequest']],
  [CONTROL.sortRequest, ['searchRequest']],
  [CONTROL.syncRequest, ['searchRequest']],
  [CONTROL.transactionSpecification, UPDATES],
  [CONTROL.idempotent, ['addRequest', 'deleteRequest']],
  [CONTROL.treeDelete, ['deleteRequest']],
  // There are no referral objects here, so the request is always fulfilled (RFC 3296 §3).
  [CONTROL.manageDsaIT, [...UPDATES, 'searchRequest', 'compareRequest']],
]);

/** For the root DSE: each control with the operations that it may stand in. */
export const CONTROL_PLACES = PLACES;

const NONE: RequestControls = {};

/** `own`: controls that the owner's hooks understand. Refuses with unavailableCriticalExtension; `DecodeError` for a malformed value. */
export function readControls(
  op: Request['op'],
  controls: readonly Control[],
  own: readonly string[] | undefined,
): RequestControls {
  if (controls.length === 0) return NONE;
  const read: { -readonly [K in keyof RequestControls]: RequestControls[K] } = {};
  for (let n = 0; n < controls.length; n++) {
    const { oid, critical, value } = controls[n] as Control;
    refuseProxy(oid, critical);
    if (PLACES.get(oid)?.includes(op) !== true) {
      // RFC 4511 §4.1.11: criticality means nothing to operations without a response.
      if (critical && own?.includes(oid) !== true && op !== 'abandonRequest' && op !== 'unbindRequest')
        refuse('unavailableCriticalExtension', `control ${oidName(oid)} is not supported here`);
      continue;
    }
    for (let before = 0; before < n; before++)
      if (controls[before]?.oid === oid) refuse('protocolError', `control ${oidName(oid)} occurs twice`);
    if (oid === CONTROL.sortRequest) read.sort = { keys: decodeSortRequest(value), critical };
    else readOne(oid, value, read);
  }
  if (read.sync !== undefined) withoutOrder(controls, read);
  return read;
}

/** Nobody acts for others here. Passing a request over that was meant to be another's would be worse than refusing it (RFC 4370 §3). */
export function refuseProxy(oid: string, critical: boolean): void {
  if (oid !== CONTROL.proxiedAuthorization && oid !== CONTROL.proxiedAuthorization1) return;
  const why = 'proxied authorization is not supported';
  refuse(critical ? 'unavailableCriticalExtension' : 'authorizationDenied', why);
}

/** Content synchronisation has an order of its own. RFC 4511 §4.1.11: of a combination without meaning, what isn't critical is dropped. */
function withoutOrder(
  controls: readonly Control[],
  read: { -readonly [K in keyof RequestControls]: RequestControls[K] },
): void {
  const clash = controls.find(
    ({ oid, critical }) => critical && (oid === CONTROL.pagedResults || oid === CONTROL.sortRequest),
  );
  if (clash !== undefined)
    refuse('protocolError', `control ${oidName(clash.oid)} cannot be combined with syncRequest`);
  delete read.paged;
  delete read.sort;
}

function readOne(
  oid: string,
  value: Buffer | undefined,
  read: { -readonly [K in keyof RequestControls]: RequestControls[K] },
): void {
  switch (oid) {
    case CONTROL.assertion:
      read.assertion = decodeAssertion(value);
      return;
    case CONTROL.preRead:
      read.preRead = decodeReadRequest(value);
      return;
    case CONTROL.postRead:
      read.postRead = decodeReadRequest(value);
      return;
    case CONTROL.pagedResults:
      read.paged = decodePagedResults(value);
      return;
    case CONTROL.syncRequest:
      read.sync = decodeSyncRequest(value);
      return;
    case CONTROL.transactionSpecification:
      // RFC 5805 §2.2: the value is the identifier, which may be empty.
      read.transaction = value ?? EMPTY;
      return;
    case CONTROL.idempotent:
      requireNoValue(value);
      read.idempotent = true;
      return;
    case CONTROL.treeDelete:
      requireNoValue(value);
      read.treeDelete = true;
      return;
    default:
      requireNoValue(value);
  }
}

const EMPTY = Buffer.alloc(0);
