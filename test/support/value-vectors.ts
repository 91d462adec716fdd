/** Values of controls, extended operations and intermediate responses, with their octets written by hand. */
import { bool, control, enumerated, int, seq, set, str, tlv } from './hand-ber.ts';
import * as ad from '../../src/ldap/active-directory-values.ts';
import * as controls from '../../src/ldap/control-values.ts';
import * as extended from '../../src/ldap/extended-values.ts';
import * as own from '../../src/ldap/postern-extended.ts';
import * as sync from '../../src/ldap/sync-values.ts';

export type Encode = (value: never) => Buffer | undefined;
export type Decode = (value: Buffer | undefined) => unknown;

export const uuid: Buffer = Buffer.from('0123456789abcdef');
export const hash: Buffer = Buffer.alloc(32, 9);
const b = (text: string): Buffer => Buffer.from(text);

/** Name, codec, value, octets by hand. */
export const vectors: readonly [string, Encode, Decode, unknown, Buffer][] = [
  [
    // Active Directory refuses a high flag in five octets: [MS-ADTS] 3.1.1.3.4.1.3.
    'DirSync request',
    ad.encodeDirSyncRequest,
    ad.decodeDirSyncRequest,
    { flags: -0x8000_0000, maxBytes: 0, cookie: b('c') },
    seq(tlv(0x02, Buffer.from('80000000', 'hex')), int(0), str('c')),
  ],
  [
    'DirSync response',
    ad.encodeDirSyncResponse,
    ad.decodeDirSyncResponse,
    { more: true, cookie: b('c') },
    seq(int(1), int(0), str('c')),
  ],
  [
    'paged results',
    controls.encodePagedResults,
    controls.decodePagedResults,
    { size: 500, cookie: b('c') },
    seq(int(500), str('c')),
  ],
  [
    'sort request',
    controls.encodeSortRequest,
    controls.decodeSortRequest,
    [
      { attribute: 'sn', reverse: false },
      { attribute: 'cn', orderingRule: 'caseIgnoreOrderingMatch', reverse: true },
    ],
    seq(seq(str('sn')), seq(str('cn'), str('caseIgnoreOrderingMatch', 0x80), bool(true, 0x81))),
  ],
  [
    'sort result',
    controls.encodeSortResult,
    controls.decodeSortResult,
    { code: 16, attribute: 'sn' },
    seq(enumerated(16), str('sn', 0x80)),
  ],
  [
    'sort result, success',
    controls.encodeSortResult,
    controls.decodeSortResult,
    { code: 0 },
    seq(enumerated(0)),
  ],
  [
    'assertion',
    controls.encodeAssertion,
    controls.decodeAssertion,
    { kind: 'present', attribute: 'cn' },
    str('cn', 0x87),
  ],
  [
    'read request',
    controls.encodeReadRequest,
    controls.decodeReadRequest,
    ['cn', '*'],
    seq(str('cn'), str('*')),
  ],
  [
    'read result',
    controls.encodeReadResult,
    controls.decodeReadResult,
    { op: 'searchResultEntry', dn: 'cn=a', attributes: [{ type: 'cn', values: [b('a')] }] },
    tlv(0x64, str('cn=a'), seq(seq(str('cn'), set(str('a'))))),
  ],
  ['subentries', controls.encodeSubentries, controls.decodeSubentries, true, bool(true)],
  [
    'sync request',
    sync.encodeSyncRequest,
    sync.decodeSyncRequest,
    { mode: 'refreshAndPersist', cookie: b('rid=1'), reloadHint: true },
    seq(enumerated(3), str('rid=1'), bool(true)),
  ],
  [
    'sync request, first',
    sync.encodeSyncRequest,
    sync.decodeSyncRequest,
    { mode: 'refreshOnly', reloadHint: false },
    seq(enumerated(1)),
  ],
  ...(['present', 'add', 'modify', 'delete'] as const).map(
    (state, number): [string, Encode, Decode, unknown, Buffer] => [
      `sync state ${state}`,
      sync.encodeSyncState,
      sync.decodeSyncState,
      { state, entryUuid: uuid },
      seq(enumerated(number), str(uuid)),
    ],
  ),
  [
    'sync state with cookie',
    sync.encodeSyncState,
    sync.decodeSyncState,
    { state: 'add', entryUuid: uuid, cookie: b('c') },
    seq(enumerated(1), str(uuid), str('c')),
  ],
  ['sync done, empty', sync.encodeSyncDone, sync.decodeSyncDone, { refreshDeletes: false }, seq()],
  [
    'sync done',
    sync.encodeSyncDone,
    sync.decodeSyncDone,
    { cookie: b('c'), refreshDeletes: true },
    seq(str('c'), bool(true)),
  ],
  [
    'new cookie',
    sync.encodeSyncInfo,
    sync.decodeSyncInfo,
    { kind: 'newCookie', cookie: b('c') },
    str('c', 0x80),
  ],
  [
    'refresh delete',
    sync.encodeSyncInfo,
    sync.decodeSyncInfo,
    { kind: 'refreshDelete', refreshDone: true },
    tlv(0xa1),
  ],
  [
    'refresh present',
    sync.encodeSyncInfo,
    sync.decodeSyncInfo,
    { kind: 'refreshPresent', cookie: b('c'), refreshDone: false },
    tlv(0xa2, str('c'), bool(false)),
  ],
  [
    'set of identifiers',
    sync.encodeSyncInfo,
    sync.decodeSyncInfo,
    { kind: 'idSet', cookie: b('c'), refreshDeletes: true, entryUuids: [uuid, uuid] },
    tlv(0xa3, str('c'), bool(true), set(str(uuid), str(uuid))),
  ],
  [
    'set of identifiers, empty',
    sync.encodeSyncInfo,
    sync.decodeSyncInfo,
    { kind: 'idSet', refreshDeletes: false, entryUuids: [] },
    tlv(0xa3, set()),
  ],
  [
    'commit',
    extended.encodeEndTransactionRequest,
    extended.decodeEndTransactionRequest,
    { commit: true, identifier: b('t') },
    seq(str('t')),
  ],
  [
    'abort',
    extended.encodeEndTransactionRequest,
    extended.decodeEndTransactionRequest,
    { commit: false, identifier: b('t') },
    seq(bool(false), str('t')),
  ],
  [
    'transaction ended',
    extended.encodeEndTransactionResponse,
    extended.decodeEndTransactionResponse,
    { updatesControls: [{ messageId: 7, controls: [{ oid: '1.2', critical: false, value: b('v') }] }] },
    seq(seq(seq(int(7), seq(control({ oid: '1.2', critical: false, value: b('v') }))))),
  ],
  [
    'transaction failed',
    extended.encodeEndTransactionResponse,
    extended.decodeEndTransactionResponse,
    { failedMessageId: 300, updatesControls: [] },
    seq(int(300)),
  ],
  [
    'password modify',
    extended.encodePasswordModifyRequest,
    extended.decodePasswordModifyRequest,
    { userIdentity: 'cn=a', oldPassword: b('old'), newPassword: b('new') },
    seq(str('cn=a', 0x80), str('old', 0x81), str('new', 0x82)),
  ],
  [
    'password modify, empty',
    extended.encodePasswordModifyRequest,
    extended.decodePasswordModifyRequest,
    {},
    seq(),
  ],
  [
    'password modified',
    extended.encodePasswordModifyResponse,
    extended.decodePasswordModifyResponse,
    b('made'),
    seq(str('made', 0x80)),
  ],
  ['cancel', extended.encodeCancelRequest, extended.decodeCancelRequest, 4711, seq(int(4711))],
  [
    'lease request',
    own.encodeLeaseRequest,
    own.decodeLeaseRequest,
    { action: 'renew', holder: 'hub1.example', durationSeconds: 360, leaseId: uuid },
    seq(enumerated(1), str('hub1.example', 0x0c), int(360), str(uuid, 0x80)),
  ],
  [
    'lease request, first',
    own.encodeLeaseRequest,
    own.decodeLeaseRequest,
    { action: 'acquire', holder: 'hub1', durationSeconds: 1800 },
    seq(enumerated(0), str('hub1', 0x0c), int(1800)),
  ],
  [
    'lease response',
    own.encodeLeaseResponse,
    own.decodeLeaseResponse,
    { state: 'held', epoch: 2 ** 40, holder: 'hub1', remainingMs: 359_999, leaseId: uuid },
    seq(enumerated(1), int(2 ** 40), str('hub1', 0x0c), int(359_999), str(uuid, 0x80)),
  ],
  [
    'digest request',
    own.encodeContentDigestRequest,
    own.decodeContentDigestRequest,
    { kind: 'recipients', bits: 12, prefix: 4095 },
    seq(str('recipients', 0x0c), int(12), int(4095, 0x80)),
  ],
  [
    'digest request, sums',
    own.encodeContentDigestRequest,
    own.decodeContentDigestRequest,
    { kind: 'domains', bits: 0 },
    seq(str('domains', 0x0c), int(0)),
  ],
  [
    'digest summary',
    own.encodeContentDigestSummary,
    own.decodeContentDigestSummary,
    {
      count: 3,
      digest: hash,
      buckets: [
        { count: 1, digest: hash },
        { count: 2, digest: hash },
      ],
    },
    seq(int(3), str(hash), seq(seq(int(1), str(hash)), seq(int(2), str(hash)))),
  ],
  [
    'bucket',
    own.encodeBucketEntries,
    own.decodeBucketEntries,
    [{ guid: uuid, hash }],
    seq(seq(str(uuid), str(hash))),
  ],
  [
    'removals request',
    own.encodeRemovalsRequest,
    own.decodeRemovalsRequest,
    { action: 'approve', kind: 'recipients' },
    seq(enumerated(1), str('recipients', 0x0c)),
  ],
  [
    'removals response',
    own.encodeRemovalsResponse,
    own.decodeRemovalsResponse,
    { pending: 600, approved: 0, rejected: 1 },
    seq(int(600), int(0), int(1)),
  ],
];
