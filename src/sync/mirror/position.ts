/** How the mirror's position is kept beside the records: two named values. Pure. */
import type { MirrorPosition } from '../push/mirror-view.ts';

export const MIRROR_META = 'mirror';
export const POSITION_META = 'position';

/** Raised when records or these values get another form: older mirrors are then filled again. */
const FORMAT = 1;
const ID_BYTES = 16;
const HAS_COOKIE = 1;

/** format (1) || mirrorId (16). */
export function packMirrorId(mirrorId: Buffer): Buffer {
  return Buffer.concat([Buffer.from([FORMAT]), mirrorId]);
}

export function unpackMirrorId(bytes: Buffer | undefined): Buffer | undefined {
  return bytes?.length === 1 + ID_BYTES && bytes[0] === FORMAT ? Buffer.from(bytes.subarray(1)) : undefined;
}

/** sequence (u64) || flags (1) || cookie. */
export function packPosition(position: MirrorPosition): Buffer {
  const cookie = position.cookie ?? Buffer.alloc(0);
  const bytes = Buffer.allocUnsafe(9 + cookie.length);
  bytes.writeBigUInt64BE(BigInt(position.sequence));
  bytes[8] = position.cookie === undefined ? 0 : HAS_COOKIE;
  bytes.set(cookie, 9);
  return bytes;
}

export function unpackPosition(mirrorId: Buffer, bytes: Buffer | undefined): MirrorPosition | undefined {
  if (bytes === undefined) return { mirrorId, sequence: 0, cookie: undefined };
  if (bytes.length < 9) return undefined;
  const sequence = Number(bytes.readBigUInt64BE());
  if (!Number.isSafeInteger(sequence)) return undefined;
  const cookie = (bytes[8] as number) === HAS_COOKIE ? Buffer.from(bytes.subarray(9)) : undefined;
  return { mirrorId, sequence, cookie };
}
