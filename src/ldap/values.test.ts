/** Values of controls, extended operations and intermediate responses: vectors by hand, round trips, hostile octets. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bool, enumerated, int, seq, set, str, tlv } from '../../test/support/hand-ber.ts';
import { arbitraryFilter } from '../../test/support/message-arbitrary.ts';
import { type Decode, type Encode, hash, uuid, vectors } from '../../test/support/value-vectors.ts';
import { DecodeError } from '../base/decode-error.ts';
import * as ad from './active-directory-values.ts';
import * as controls from './control-values.ts';
import * as extended from './extended-values.ts';
import * as own from './postern-extended.ts';
import * as sync from './sync-values.ts';
import { requireNoValue } from './value.ts';

const b = (text: string): Buffer => Buffer.from(text);

describe('vectors', () => {
  test.each(vectors)('%s', (_name, encode, decode, value, octets) => {
    expect(encode(value as never)?.toString('hex')).toBe(octets.toString('hex'));
    expect(decode(octets)).toEqual(value);
  });

  test('values that may be missing', () => {
    expect(extended.decodePasswordModifyRequest(undefined)).toEqual({});
    expect(extended.decodePasswordModifyResponse(undefined)).toBeUndefined();
    expect(extended.encodePasswordModifyResponse(undefined)).toBeUndefined();
    expect(extended.decodePasswordModifyResponse(seq())).toBeUndefined();
    requireNoValue(undefined);
    expect(() => requireNoValue(Buffer.alloc(0))).toThrow(DecodeError);
  });

  test('defaults that are written out are read (BER)', () => {
    expect(sync.decodeSyncDone(seq(bool(false)))).toEqual({ refreshDeletes: false });
    expect(extended.decodeEndTransactionRequest(seq(bool(true), str('t')))).toEqual({
      commit: true,
      identifier: b('t'),
    });
    expect(sync.decodeSyncInfo(tlv(0xa1, bool(true)))).toEqual({ kind: 'refreshDelete', refreshDone: true });
  });
});

const decoders: Decode[] = [...new Set(vectors.map(([, , decode]) => decode))];

describe('refused', () => {
  const cases: [string, Decode, Buffer | undefined][] = [
    ['a missing value', controls.decodePagedResults, undefined],
    ['a negative page size', controls.decodePagedResults, seq(int(-1), str(''))],
    ['too many sort keys', controls.decodeSortRequest, seq(Buffer.alloc(100 * 4, seq(str(''))))],
    ['synchronisation mode 2', sync.decodeSyncRequest, seq(enumerated(2))],
    ['synchronisation mode 0', sync.decodeSyncRequest, seq(enumerated(0))],
    ['an entry UUID of 15 octets', sync.decodeSyncState, seq(enumerated(1), str(uuid.subarray(1)))],
    ['an entry UUID of 17 octets in a set', sync.decodeSyncInfo, tlv(0xa3, set(str(`${uuid.toString()}x`)))],
    ['an unknown kind of information', sync.decodeSyncInfo, tlv(0xa4)],
    ['an unknown lease action', own.decodeLeaseRequest, seq(enumerated(3), str('a', 0x0c), int(1))],
    ['a negative duration', own.decodeLeaseRequest, seq(enumerated(0), str('a', 0x0c), int(-1))],
    ['a holder that is no UTF8String', own.decodeLeaseRequest, seq(enumerated(0), str('a'), int(1))],
    ['13 bits', own.decodeContentDigestRequest, seq(str('a', 0x0c), int(13))],
    [
      'a prefix longer than its bits',
      own.decodeContentDigestRequest,
      seq(str('a', 0x0c), int(4), int(16, 0x80)),
    ],
    ['a prefix of no bits', own.decodeContentDigestRequest, seq(str('a', 0x0c), int(0), int(1, 0x80))],
    [
      'more buckets than 12 bits make',
      own.decodeContentDigestSummary,
      seq(int(0), str(hash), seq(Buffer.alloc(4097 * 39, seq(int(0), str(hash))))),
    ],
    ['a short digest', own.decodeContentDigestSummary, seq(int(0), str(uuid), seq())],
    ['a short hash', own.decodeBucketEntries, seq(seq(str(uuid), str(uuid)))],
  ];
  test.each(cases)('%s', (_name, decode, octets) => {
    expect(() => decode(octets)).toThrow(DecodeError);
  });

  test('something behind the value', () => {
    for (const [, , decode, , octets] of vectors)
      expect(() => decode(Buffer.concat([octets, Buffer.from([5, 0])]))).toThrow(DecodeError);
  });

  test('any octets, and every bit of valid ones: a value or DecodeError', () => {
    const tryAll = (octets: Buffer, some: Decode[]): void => {
      for (const decode of some) {
        try {
          decode(octets);
        } catch (error) {
          if (!(error instanceof DecodeError)) throw error;
        }
      }
    };
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (octets) => tryAll(Buffer.from(octets), decoders)),
      { numRuns: 1500 },
    );
    for (const [, , decode, , valid] of vectors) {
      for (let bit = 0; bit < valid.length * 8; bit++) {
        const octets = Buffer.from(valid);
        octets[bit >> 3] = (octets[bit >> 3] as number) ^ (1 << (bit & 7));
        tryAll(octets, [decode]);
      }
      for (let length = 0; length < valid.length; length++) tryAll(valid.subarray(0, length), [decode]);
    }
  });
});

describe('round trips', () => {
  const octets = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));
  const text = fc.string({ unit: 'binary', maxLength: 20 });
  const id = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes));
  const digest = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));
  const number = fc.nat(2_147_483_647);
  const sum = fc.record({ count: number, digest });
  const cases: [string, Encode, Decode, fc.Arbitrary<unknown>][] = [
    [
      'paged results',
      controls.encodePagedResults,
      controls.decodePagedResults,
      fc.record({ size: number, cookie: octets }),
    ],
    [
      'DirSync request',
      ad.encodeDirSyncRequest,
      ad.decodeDirSyncRequest,
      fc.record({ flags: fc.integer({ min: -0x8000_0000 }), maxBytes: number, cookie: octets }),
    ],
    [
      'DirSync response',
      ad.encodeDirSyncResponse,
      ad.decodeDirSyncResponse,
      fc.record({ more: fc.boolean(), cookie: octets }),
    ],
    ['assertion', controls.encodeAssertion, controls.decodeAssertion, arbitraryFilter(text, octets)],
    [
      'sync information',
      sync.encodeSyncInfo,
      sync.decodeSyncInfo,
      fc.oneof(
        fc.record({ kind: fc.constant('newCookie'), cookie: octets }),
        fc.record(
          {
            kind: fc.constantFrom('refreshDelete', 'refreshPresent'),
            cookie: octets,
            refreshDone: fc.boolean(),
          },
          { requiredKeys: ['kind', 'refreshDone'] },
        ),
        fc.record(
          {
            kind: fc.constant('idSet'),
            cookie: octets,
            refreshDeletes: fc.boolean(),
            entryUuids: fc.array(id, { maxLength: 20 }),
          },
          { requiredKeys: ['kind', 'refreshDeletes', 'entryUuids'] },
        ),
      ),
    ],
    [
      'lease response',
      own.encodeLeaseResponse,
      own.decodeLeaseResponse,
      fc.record(
        {
          state: fc.constantFrom('free', 'held', 'orphaned', 'expired'),
          epoch: fc.maxSafeNat(),
          holder: text,
          remainingMs: fc.maxSafeNat(),
          leaseId: octets,
        },
        { requiredKeys: ['state', 'epoch', 'holder', 'remainingMs'] },
      ),
    ],
    [
      'digest summary',
      own.encodeContentDigestSummary,
      own.decodeContentDigestSummary,
      fc.record({ count: number, digest, buckets: fc.array(sum, { maxLength: 20 }) }),
    ],
    [
      'bucket',
      own.encodeBucketEntries,
      own.decodeBucketEntries,
      fc.array(fc.record({ guid: id, hash: digest }), { maxLength: 20 }),
    ],
  ];
  test.each(cases)('%s', (_name, encode, decode, arbitrary) => {
    fc.assert(
      fc.property(arbitrary, (value) => {
        expect(decode(encode(value as never))).toEqual(value);
      }),
      { numRuns: 300 },
    );
  });
});
