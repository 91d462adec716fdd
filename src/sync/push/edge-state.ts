/** The entry of a data kind under cn=Sync, both ways: what an edge has, as its holder wrote it. Pure. */
import { formatGeneralizedTime, parseGeneralizedTime } from '../../asn1/time.ts';
import type { Attribute, Modification } from '../../ldap/message.ts';
import { MAPPING_VERSION } from '../cookie.ts';
import { DigestSum } from '../content-digest.ts';
import type { MirrorPosition } from './mirror-view.ts';

export type DataKind = 'recipients' | 'domains' | 'topology';

export interface EdgeState {
  readonly loadState: 'none' | 'loading' | 'complete';
  /** The position of the mirror that the content equals. */
  readonly mirrorId: Buffer | undefined;
  readonly sequence: number;
  readonly cookie: Buffer | undefined;
  readonly digest: DigestSum;
  readonly mappingVersion: number;
  readonly lastConfirmed: number | undefined;
}

export interface EdgeStateUpdate {
  readonly loadState: 'loading' | 'complete';
  readonly position: MirrorPosition;
  readonly digest: DigestSum;
  readonly epoch: number;
  /** When the source last confirmed the content, by the hub's clock; the edge takes its own time when that is earlier. */
  readonly lastConfirmed: number | undefined;
  /** Removals of the pass that this transaction belongs to. */
  readonly plannedRemovals: number;
}

export function edgeStateDn(kind: DataKind): string {
  return `cn=${kind},cn=Sync`;
}

/** The modifications that go with the data, in the same transaction. */
export function edgeStateChanges(update: EdgeStateUpdate): Modification[] {
  const { position, digest } = update;
  return [
    replace('posternLoadState', update.loadState),
    replace('posternCookie', packPosition(position)),
    replace('posternContentDigest', digest.toBytes()),
    replace('posternEntryCount', String(digest.count)),
    replace('posternMappingVersion', String(MAPPING_VERSION)),
    replace('posternSyncEpoch', String(update.epoch)),
    ...(update.plannedRemovals > 0
      ? [replace('posternPlannedRemovals', String(update.plannedRemovals))]
      : []),
    ...(update.lastConfirmed === undefined
      ? []
      : [replace('posternLastConfirmed', formatGeneralizedTime(update.lastConfirmed))]),
  ];
}

/** `attributes` undefined: the entry is not there. */
export function parseEdgeState(attributes: readonly Attribute[] | undefined): EdgeState {
  const value = (type: string): Buffer | undefined =>
    attributes?.find((a) => a.type.toLowerCase() === type.toLowerCase())?.values[0];
  const text = (type: string): string => value(type)?.toString('utf8') ?? '';
  const state = text('posternLoadState');
  const digest = value('posternContentDigest');
  const confirmed = text('posternLastConfirmed');
  return {
    loadState: state === 'loading' || state === 'complete' ? state : 'none',
    ...unpackPosition(value('posternCookie')),
    digest:
      digest?.length === 32
        ? DigestSum.from(Number(text('posternEntryCount')) || 0, digest)
        : new DigestSum(),
    mappingVersion: Number(text('posternMappingVersion')) || 0,
    lastConfirmed: confirmed === '' ? undefined : parseGeneralizedTime(confirmed),
  };
}

/** mirrorId (16) || sequence (8) || the source's cookie, perhaps empty. */
function packPosition(position: MirrorPosition): Buffer {
  const head = Buffer.alloc(24);
  position.mirrorId.copy(head);
  head.writeBigUInt64BE(BigInt(position.sequence), 16);
  return Buffer.concat([head, position.cookie ?? Buffer.alloc(0)]);
}

function unpackPosition(value: Buffer | undefined): Pick<EdgeState, 'mirrorId' | 'sequence' | 'cookie'> {
  if (value === undefined || value.length < 24)
    return { mirrorId: undefined, sequence: 0, cookie: undefined };
  const cookie = value.subarray(24);
  return {
    mirrorId: value.subarray(0, 16),
    sequence: Number(value.readBigUInt64BE(16)),
    cookie: cookie.length > 0 ? cookie : undefined,
  };
}

function replace(type: string, value: string | Buffer): Modification {
  return { kind: 'replace', attribute: { type, values: [Buffer.from(value as string)] } };
}
