/** Octets of the protocol: BER, framing, messages, values of controls and extended operations. */
import fc from 'fast-check';
import { DecodeError } from '../../../src/base/decode-error.ts';
import { decodeOid, encodeOid } from '../../../src/asn1/oid.ts';
import { BerReader } from '../../../src/asn1/reader.ts';
import { encodeDer } from '../../../src/asn1/writer.ts';
import * as control from '../../../src/ldap/control-values.ts';
import { decodeBytes, decodeControlsAt, peekMessage } from '../../../src/ldap/decode.ts';
import { encodeBytes } from '../../../src/ldap/encode.ts';
import * as extended from '../../../src/ldap/extended-values.ts';
import { formatFilter } from '../../../src/ldap/filter.ts';
import { Framer } from '../../../src/ldap/framer.ts';
import { CLIENT_LIMITS } from '../../../src/ldap/limits.ts';
import * as renewal from '../../../src/credential/renewal-messages.ts';
import * as own from '../../../src/ldap/postern-extended.ts';
import { POSTERN_CONTROL } from '../../../src/ldap/postern-oid.ts';
import * as sync from '../../../src/ldap/sync-values.ts';
import { handEncode } from '../../support/hand-ber.ts';
import { anyMessage } from '../../support/message-arbitrary.ts';
import { type FuzzTarget, mustBeEqual, valueOrRefusal } from '../target.ts';

export const exampleMessages = (seed: number, count: number): Buffer[] =>
  fc
    .sample(anyMessage, { numRuns: count, seed })
    .map(handEncode)
    .filter((bytes) => bytes.length < 2000);

const NAMES = ['', 'cn', 'objectClass', 'dc=example,dc=org', '*', '+', '1.1', '1.3.6.1.4.1.1466.20036'];

export const BER: FuzzTarget = {
  name: 'ber',
  shape: 'ber',
  mostBytes: 4096,
  words: [
    'ff',
    '1f8101',
    '3fff7f',
    '180f32303236313132323033343030305a',
    '170d3236313132323033343030305a',
    '06032a0304',
  ].map((hex) => Buffer.from(hex, 'hex')),
  steps: { base: 4000, perByte: 400 },
  examples: (seed) => exampleMessages(seed, 40),
  run(input) {
    for (const der of [false, true]) {
      const reader = new BerReader(input, 0, input.length, { der, maxDepth: 30 });
      valueOrRefusal(() => {
        walk(reader);
        reader.finish();
      });
      if (reader.position > input.length) throw new Error('read past the end');
    }
    const name = valueOrRefusal(() => decodeOid(input.subarray(0, 300)));
    if (name !== undefined) mustBeEqual(decodeOid(encodeOid(name)), name, 'object identifier');
  },
};

/** Reads every element as what its tag says, and what is in it. */
function walk(reader: BerReader): void {
  while (reader.more) {
    const tag = reader.peek();
    const at = reader.position;
    if ((tag & 0x20) !== 0 && (tag & 0x1f) !== 0x1f) {
      const outer = reader.enter(tag);
      walk(reader);
      reader.leave(outer);
      continue;
    }
    const readers: Readonly<Record<number, () => unknown>> = {
      0x01: () => reader.boolean(),
      0x02: () => reader.bigInteger(),
      0x03: () => reader.bitString(),
      0x05: () => reader.null(),
      0x06: () => reader.oid(),
      0x0a: () => reader.enumerated(127),
      0x0c: () => reader.text(0x0c),
      0x17: () => reader.time(),
      0x18: () => reader.time(),
    };
    const read = readers[tag];
    const whole = reader.raw();
    if (read === undefined) continue;
    const end = reader.position;
    reader.position = at;
    try {
      read();
      if (reader.position !== end)
        throw new Error(`element of ${whole.length} octets read as another length`);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      reader.position = end;
    }
    if (tag === 0x02 && whole.length < 12) integerAgrees(reader, at, end);
  }
}

function integerAgrees(reader: BerReader, at: number, end: number): void {
  const attempt = <T>(read: () => T): T | undefined => {
    reader.position = at;
    const value = valueOrRefusal(read);
    reader.position = end;
    return value;
  };
  const small = attempt(() => reader.integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER));
  const big = attempt(() => reader.bigInteger());
  if (small === undefined) return;
  mustBeEqual(BigInt(small), big, 'integer');
  mustBeEqual(decodeBig(encodeDer((writer) => writer.integer(small))), big, 'integer again');
}

const decodeBig = (bytes: Buffer): bigint => new BerReader(bytes).bigInteger();

/** The first octet says where the rest is cut. */
export const FRAME: FuzzTarget = {
  name: 'frame',
  shape: 'ber',
  mostBytes: 3000,
  words: ['3080', '3084ffffffff', '30840000ffff', '300c', '308500', '30820800', '3000'].map((hex) =>
    Buffer.from(hex, 'hex'),
  ),
  steps: { base: 6000, perByte: 300 },
  examples: (seed) => {
    const messages = exampleMessages(seed, 24);
    return messages.map((bytes, i) =>
      Buffer.concat([Buffer.of(i * 11), bytes, messages[(i + 1) % messages.length] as Buffer]),
    );
  },
  run(input) {
    const stream = input.subarray(1);
    const whole = frames([stream]);
    const size = 1 + ((input[0] ?? 0) & 0x3f);
    const pieces: Buffer[] = [];
    for (let at = 0; at < stream.length; at += size) pieces.push(stream.subarray(at, at + size));
    mustBeEqual(frames(pieces), whole, 'frames of a stream that came in pieces');
    if (whole.error === '' && whole.octets + whole.left !== stream.length)
      throw new Error('octets were lost');
  },
};

function frames(chunks: readonly Buffer[]): { hex: string[]; error: string; left: number; octets: number } {
  const framer = new Framer({ maxMessageBytes: 2048 });
  const hex: string[] = [];
  let octets = 0;
  let error = '';
  for (const chunk of chunks) {
    try {
      framer.push(chunk);
      for (const { buffer, start, end } of framer) {
        hex.push(buffer.toString('hex', start, end));
        octets += end - start;
      }
    } catch (thrown) {
      if (!(thrown instanceof DecodeError)) throw thrown;
      error = thrown.message;
    }
  }
  return { hex, error, left: error === '' ? framer.buffered : 0, octets };
}

export const MESSAGE: FuzzTarget = {
  name: 'message',
  shape: 'ber',
  mostBytes: 8192,
  words: NAMES,
  steps: { base: 20_000, perByte: 1500 },
  examples: (seed) => exampleMessages(seed, 120),
  run(input) {
    for (const limits of [undefined, CLIENT_LIMITS]) {
      const message = valueOrRefusal(() => decodeBytes(input, limits));
      const frame = { buffer: input, start: 0, end: input.length };
      const peek = valueOrRefusal(() => peekMessage(frame));
      if (message === undefined) continue;
      if (peek?.messageId !== message.messageId) throw new Error('what decodes cannot be peeked at');
      mustBeEqual(decodeControlsAt(frame, peek, limits), message.controls, 'controls');
      const again = decodeBytes(encodeBytes(message), limits);
      // By what it encodes to: an empty list of referrals, say, is none.
      mustBeEqual(encodeBytes(again), encodeBytes(message), 'decode(encode(message))');
      if (message.operation.op === 'searchRequest') formatFilter(message.operation.filter);
    }
  },
};

type Pair = readonly [decode: (value: Buffer) => unknown, encode: (value: never) => Buffer | undefined];
const pair = <T>(decode: (value: Buffer) => T, encode: (value: T) => Buffer | undefined): Pair => [
  decode,
  encode,
];

const VALUES: readonly Pair[] = [
  pair(control.decodePagedResults, control.encodePagedResults),
  pair(control.decodeSortRequest, control.encodeSortRequest),
  pair(control.decodeSortResult, control.encodeSortResult),
  pair((value) => control.decodeAssertion(value), control.encodeAssertion),
  pair((value) => control.decodeReadRequest(value), control.encodeReadRequest),
  pair((value) => control.decodeReadResult(value), control.encodeReadResult),
  pair(control.decodeSubentries, control.encodeSubentries),
  pair(extended.decodeEndTransactionRequest, extended.encodeEndTransactionRequest),
  pair(
    (value) => extended.decodeEndTransactionResponse(value),
    (value) => (value === undefined ? undefined : extended.encodeEndTransactionResponse(value)),
  ),
  pair(extended.decodePasswordModifyRequest, extended.encodePasswordModifyRequest),
  pair(extended.decodePasswordModifyResponse, extended.encodePasswordModifyResponse),
  pair(extended.decodeCancelRequest, extended.encodeCancelRequest),
  pair(sync.decodeSyncRequest, sync.encodeSyncRequest),
  pair(sync.decodeSyncState, sync.encodeSyncState),
  pair(sync.decodeSyncDone, sync.encodeSyncDone),
  pair(sync.decodeSyncInfo, sync.encodeSyncInfo),
  pair(own.decodeLeaseRequest, own.encodeLeaseRequest),
  pair(own.decodeLeaseResponse, own.encodeLeaseResponse),
  pair(own.decodeContentDigestRequest, own.encodeContentDigestRequest),
  pair(own.decodeContentDigestSummary, own.encodeContentDigestSummary),
  pair(own.decodeBucketEntries, own.encodeBucketEntries),
  pair(own.decodeRemovalsRequest, own.encodeRemovalsRequest),
  pair(own.decodeRemovalsResponse, own.encodeRemovalsResponse),
  pair(
    (value) => renewal.callOf([{ oid: POSTERN_CONTROL.instance, critical: true, value }]),
    (value) => (value === undefined ? undefined : renewal.instanceControl(value).value),
  ),
  pair(
    (value) => renewal.bindVerdictOf([{ oid: POSTERN_CONTROL.instance, critical: false, value }]),
    (value) => (value === undefined ? undefined : renewal.bindVerdictControl(value).value),
  ),
  pair(renewal.decodeInstallVerdict, renewal.encodeInstallVerdict),
  pair(renewal.decodeRetire, renewal.encodeRetire),
  // Its inverse needs a key.
  pair(renewal.decodeInstall, () => undefined),
];

/** The first octet chooses the decoder. */
export const VALUE: FuzzTarget = {
  name: 'control',
  shape: 'bytes',
  mostBytes: 4096,
  words: [
    '3000',
    '3003020100',
    '0a0101',
    '0400',
    '8000',
    '8001ff',
    'a200',
    '3100',
    '04100123456789abcdef0123456789abcdef',
    '0101ff',
    '8702636e',
    'a00430020400',
  ].map((hex) => Buffer.from(hex, 'hex')),
  steps: { base: 10_000, perByte: 1500 },
  examples: () =>
    VALUES.flatMap((_pair, i) =>
      [
        '3000',
        '300602010504016b',
        '300a040263 6e80023263 8101ff',
        '30120a010304100123456789abcdef0123456789abcdef',
        '300d0a01000c016802010a80026162',
        '30150410000102030405060708090a0b0c0d0e0f020101',
        '30060a01020201ff',
        '30060a0100800103',
        '3020041b30190410000102030405060708090a0b0c0d0e0f02010104023000 040101',
      ].map((hex) => Buffer.concat([Buffer.of(i), Buffer.from(hex.replaceAll(' ', ''), 'hex')])),
    ),
  run(input) {
    const [decode, encode] = VALUES[(input[0] ?? 0) % VALUES.length] as Pair;
    const value = valueOrRefusal(() => decode(input.subarray(1)));
    if (value === undefined) return;
    const bytes = encode(value as never);
    if (bytes !== undefined) mustBeEqual(decode(bytes), value, 'decode(encode(value))');
  },
};
