import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  bool,
  control,
  enumerated,
  handEncode,
  handOperation,
  int,
  seq,
  set,
  str,
  tlv,
} from '../../test/support/hand-ber.ts';
import { anyMessage, messageOf, OPERATIONS } from '../../test/support/message-arbitrary.ts';
import { DecodeError } from '../asn1/decode-error.ts';
import { BerWriter } from '../asn1/writer.ts';
import { decodeBytes, decodeControlsAt, decodeMessage, peekMessage } from './decode.ts';
import { encodeSearchResultEntry } from './encode-entry.ts';
import { encodeBytes, encodeMessage } from './encode.ts';
import { type DecodeLimits, SERVER_LIMITS } from './limits.ts';
import type { Filter, Message, Operation } from './message.ts';
import { isRequest, OPERATION_TAG, operationOfTag } from './operation-tag.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
const message = (operation: Operation): Message => ({ messageId: 1, operation, controls: [] });

describe('octets written out by hand', () => {
  const cases: [string, string, Message][] = [
    [
      'anonymous bind',
      '300c 020101 6007 020103 0400 8000',
      message({
        op: 'bindRequest',
        version: 3,
        name: '',
        authentication: { kind: 'simple', password: Buffer.alloc(0) },
      }),
    ],
    [
      'bind response',
      '300c 020101 6107 0a0100 0400 0400',
      message({ op: 'bindResponse', result: { code: 0, matchedDn: '', diagnostic: '' } }),
    ],
    [
      'search of the root DSE for namingContexts',
      '3035 020102 6330 0400 0a0100 0a0100 020100 020100 010100 870b6f626a656374436c617373 3010 040e6e616d696e67436f6e7465787473',
      {
        messageId: 2,
        controls: [],
        operation: {
          op: 'searchRequest',
          base: '',
          scope: 'base',
          derefAliases: 'never',
          sizeLimit: 0,
          timeLimit: 0,
          typesOnly: false,
          filter: { kind: 'present', attribute: 'objectClass' },
          attributes: ['namingContexts'],
        },
      },
    ],
    ['unbind', '3005 020103 4200', { messageId: 3, operation: { op: 'unbindRequest' }, controls: [] }],
    [
      'abandon',
      '3006 020104 500103',
      { messageId: 4, operation: { op: 'abandonRequest', messageId: 3 }, controls: [] },
    ],
    [
      'Who am I',
      '301e 020102 7719 8017312e332e362e312e342e312e343230332e312e31312e33',
      { messageId: 2, operation: { op: 'extendedRequest', oid: '1.3.6.1.4.1.4203.1.11.3' }, controls: [] },
    ],
    [
      'delete with the critical manageDsaIT control',
      '3029 020105 4a04636e3d61 a01e 301c 0417322e31362e3834302e312e3131333733302e332e342e32 0101ff',
      {
        messageId: 5,
        operation: { op: 'deleteRequest', dn: 'cn=a' },
        controls: [{ oid: '2.16.840.1.113730.3.4.2', critical: true }],
      },
    ],
  ];
  test.each(cases)('%s', (_name, octets, expected) => {
    expect(decodeBytes(hex(octets))).toEqual(expected);
    expect(encodeBytes(expected).toString('hex')).toBe(hex(octets).toString('hex'));
  });
});

describe('round trip against the independent encoder', () => {
  test.each(Object.keys(OPERATIONS) as Operation['op'][])('%s', (op) => {
    fc.assert(
      fc.property(messageOf(OPERATIONS[op]), (original) => {
        const octets = handEncode(original);
        expect(decodeBytes(octets)).toEqual(original);
        expect(encodeBytes(original).equals(octets)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test('many messages through one writer', () => {
    fc.assert(
      fc.property(fc.array(anyMessage, { maxLength: 10 }), (messages) => {
        const writer = new BerWriter(256);
        for (const one of messages) encodeMessage(writer, one);
        expect(writer.take().equals(Buffer.concat(messages.map(handEncode)))).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  test('a message inside a larger buffer is decoded in place', () => {
    fc.assert(
      fc.property(anyMessage, fc.nat(20), (original, before) => {
        const octets = handEncode(original);
        const buffer = Buffer.concat([Buffer.alloc(before, 0x30), octets, Buffer.alloc(9, 0x04)]);
        const frame = { buffer, start: before, end: before + octets.length };
        expect(decodeMessage(frame)).toEqual(original);
        const peek = peekMessage(frame);
        expect(peek.messageId).toBe(original.messageId);
        expect(operationOfTag(peek.tag)).toBe(original.operation.op);
        const body = handOperation(original.operation);
        expect(
          body
            .subarray(body.length - (peek.bodyEnd - peek.bodyStart))
            .equals(buffer.subarray(peek.bodyStart, peek.bodyEnd)),
        ).toBe(true);
        expect(decodeControlsAt(frame, peek)).toEqual(original.controls);
      }),
      { numRuns: 300 },
    );
  });
});

test('entries from prepared octets equal entries from text', () => {
  const types = ['cn', 'posternÄ'];
  const values = [[Buffer.from('a'), Buffer.alloc(200, 1)], []];
  const text = types.map((type, i) => ({ type, values: values[i] as Buffer[] }));
  const octets = types.map((type, i) => ({ type: Buffer.from(type), values: values[i] as Buffer[] }));
  const writer = new BerWriter(64);
  for (const id of [0, 127, 128, 32_767, 32_768, 8_388_607, 8_388_608, 2_147_483_647]) {
    encodeSearchResultEntry(writer, id, 'cn=ä', text);
    const first = writer.take();
    encodeSearchResultEntry(writer, id, Buffer.from('cn=ä'), octets);
    expect(writer.take()).toEqual(first);
    expect(decodeBytes(first)).toEqual({
      messageId: id,
      operation: { op: 'searchResultEntry', dn: 'cn=ä', attributes: text },
      controls: [],
    });
  }
});

test('a message that cannot be encoded leaves nothing in the writer', () => {
  const writer = new BerWriter();
  encodeMessage(writer, message({ op: 'unbindRequest' }));
  const good = writer.length;
  for (const messageId of [1.5, Number.NaN]) {
    const controls = [{ oid: '1.2', critical: true }];
    const entry: Operation = { op: 'searchResultEntry', dn: 'cn=a', attributes: [] };
    expect(() =>
      encodeMessage(writer, { messageId, operation: { op: 'unbindRequest' }, controls: [] }),
    ).toThrow('not an integer');
    expect(() => encodeMessage(writer, { messageId, operation: entry, controls: [] })).toThrow(
      'not an integer',
    );
    expect(() => encodeMessage(writer, { messageId, operation: entry, controls })).toThrow('not an integer');
    expect(writer.length).toBe(good);
  }
});

describe('extensibility (RFC 4511 §4): later elements at the end are passed over', () => {
  const later = tlv(0x9d, Buffer.from('later'));
  const result = [enumerated(0), str(''), str('')];
  const cases: [string, Buffer, Message][] = [
    ['message', seq(int(1), tlv(0x42), later), message({ op: 'unbindRequest' })],
    [
      'message, after controls',
      seq(int(1), tlv(0x42), tlv(0xa0, control({ oid: '1.2', critical: false })), later),
      { messageId: 1, operation: { op: 'unbindRequest' }, controls: [{ oid: '1.2', critical: false }] },
    ],
    [
      'control',
      seq(int(1), tlv(0x42), tlv(0xa0, seq(str('1.2'), bool(false), later))),
      { messageId: 1, operation: { op: 'unbindRequest' }, controls: [{ oid: '1.2', critical: false }] },
    ],
    [
      'add',
      seq(int(1), tlv(0x68, str('a'), seq(), later)),
      message({ op: 'addRequest', dn: 'a', attributes: [] }),
    ],
    [
      'attribute',
      seq(int(1), tlv(0x68, str('a'), seq(seq(str('cn'), set(), later)))),
      message({ op: 'addRequest', dn: 'a', attributes: [{ type: 'cn', values: [] }] }),
    ],
    [
      'result',
      seq(int(1), tlv(0x69, result, later)),
      message({ op: 'addResponse', result: { code: 0, matchedDn: '', diagnostic: '' } }),
    ],
    [
      'bind response',
      seq(int(1), tlv(0x61, result, str('c', 0x87), later)),
      message({
        op: 'bindResponse',
        result: { code: 0, matchedDn: '', diagnostic: '' },
        serverSaslCredentials: Buffer.from('c'),
      }),
    ],
    [
      'modifyDN',
      seq(int(1), tlv(0x6c, str('a'), str('b'), bool(true), str('c', 0x80), later)),
      message({ op: 'modifyDnRequest', dn: 'a', newRdn: 'b', deleteOldRdn: true, newSuperior: 'c' }),
    ],
    [
      'extended',
      seq(int(1), tlv(0x77, str('1.2', 0x80), later)),
      message({ op: 'extendedRequest', oid: '1.2' }),
    ],
    ['intermediate', seq(int(1), tlv(0x79, later)), message({ op: 'intermediateResponse' })],
  ];
  test.each(cases)('%s', (_name, octets, expected) => {
    expect(decodeBytes(octets)).toEqual(expected);
  });

  test('an unknown result code is no error', () => {
    const octets = seq(int(1), tlv(0x65, enumerated(123_456), str(''), str('')));
    expect(decodeBytes(octets).operation).toEqual({
      op: 'searchResultDone',
      result: { code: 123_456, matchedDn: '', diagnostic: '' },
    });
  });
});

describe('refused', () => {
  const search = (filter: Buffer): Buffer =>
    seq(int(1), tlv(0x63, str(''), enumerated(0), enumerated(0), int(0), int(0), bool(false), filter, seq()));
  const cases: [string, Buffer][] = [
    ['nothing', Buffer.alloc(0)],
    ['an empty message', seq()],
    ['no operation', seq(int(1))],
    ['a negative message id', seq(int(-1), tlv(0x42))],
    ['a message id over 2^31-1', seq(int(2_147_483_648), tlv(0x42))],
    ['an unknown operation', seq(int(1), tlv(0x7e))],
    ['octets behind the message', Buffer.concat([seq(int(1), tlv(0x42)), Buffer.from([0])])],
    ['an unbind with content', seq(int(1), tlv(0x42, str('a')))],
    ['a bind of version 0', seq(int(1), tlv(0x60, int(0), str(''), str('', 0x80)))],
    ['a bind of version 128', seq(int(1), tlv(0x60, int(128), str(''), str('', 0x80)))],
    ['a bind without authentication', seq(int(1), tlv(0x60, int(3), str('')))],
    ['an unknown authentication', seq(int(1), tlv(0x60, int(3), str(''), str('', 0x89)))],
    [
      'scope 3',
      seq(
        int(1),
        tlv(0x63, str(''), enumerated(3), enumerated(0), int(0), int(0), bool(false), str('cn', 0x87), seq()),
      ),
    ],
    [
      'deref 4',
      seq(
        int(1),
        tlv(0x63, str(''), enumerated(0), enumerated(4), int(0), int(0), bool(false), str('cn', 0x87), seq()),
      ),
    ],
    [
      'a negative size limit',
      seq(
        int(1),
        tlv(
          0x63,
          str(''),
          enumerated(0),
          enumerated(0),
          int(-1),
          int(0),
          bool(false),
          str('cn', 0x87),
          seq(),
        ),
      ),
    ],
    ['an unknown filter', search(tlv(0xaa, str('cn')))],
    ['a constructed presence filter', search(tlv(0xa7, str('cn')))],
    ['a not filter with two parts', search(tlv(0xa2, str('cn', 0x87), str('cn', 0x87)))],
    ['a not filter without part', search(tlv(0xa2))],
    ['a substring filter without parts', search(tlv(0xa4, str('cn'), seq()))],
    ['initial after any', search(tlv(0xa4, str('cn'), seq(str('a', 0x81), str('b', 0x80))))],
    ['two finals', search(tlv(0xa4, str('cn'), seq(str('a', 0x82), str('b', 0x82))))],
    ['an extensible filter without names', search(tlv(0xa9, str('v', 0x83)))],
    ['modify of kind 4', seq(int(1), tlv(0x66, str(''), seq(seq(enumerated(4), seq(str('cn'), set())))))],
    ['values in a SEQUENCE', seq(int(1), tlv(0x68, str('a'), seq(seq(str('cn'), seq()))))],
    ['a constructed octet string', seq(int(1), tlv(0x6a, str('a')))],
    ['a DN that is not UTF-8', seq(int(1), tlv(0x4a, hex('c328')))],
    [
      'an attribute type that is not UTF-8',
      seq(int(1), tlv(0x68, str('a'), seq(seq(tlv(0x04, hex('ff')), set())))),
    ],
    [
      'a diagnostic message that is not UTF-8',
      seq(int(1), tlv(0x69, enumerated(0), str(''), tlv(0x04, hex('ff')))),
    ],
    ['controls that are no list', seq(int(1), tlv(0x42), tlv(0xa0, str('1.2')))],
    ['a control without OID', seq(int(1), tlv(0x42), tlv(0xa0, seq(bool(true))))],
  ];
  test.each(cases)('%s', (_name, octets) => {
    expect(() => decodeBytes(octets)).toThrow(DecodeError);
  });

  test('attribute values need not be UTF-8', () => {
    const octets = seq(int(1), tlv(0x68, str('a'), seq(seq(str('cn'), set(tlv(0x04, hex('ff')))))));
    expect(decodeBytes(octets).operation).toEqual({
      op: 'addRequest',
      dn: 'a',
      attributes: [{ type: 'cn', values: [hex('ff')] }],
    });
  });
});

describe('limits', () => {
  const limits = (change: Partial<DecodeLimits>): DecodeLimits => ({ ...SERVER_LIMITS, ...change });
  const attributes = (count: number, values: number): Message =>
    message({
      op: 'addRequest',
      dn: '',
      attributes: Array.from({ length: count }, () => ({
        type: 'cn',
        values: Array.from({ length: values }, () => Buffer.from('v')),
      })),
    });
  const filtered = (filter: Filter): Message =>
    message({
      op: 'searchRequest',
      base: '',
      scope: 'base',
      derefAliases: 'never',
      sizeLimit: 0,
      timeLimit: 0,
      typesOnly: false,
      filter,
      attributes: [],
    });
  const nested = (depth: number): Filter => {
    let filter: Filter = { kind: 'present', attribute: 'cn' };
    for (let i = 1; i < depth; i++) filter = { kind: 'not', filter };
    return filter;
  };
  const referrals = { code: 10, matchedDn: '', diagnostic: '', referrals: ['a', 'b', 'c'] };
  const change = { kind: 'replace', attribute: { type: 'cn', values: [Buffer.from('v')] } } as const;

  const cases: [string, Message, Partial<DecodeLimits>, Partial<DecodeLimits>][] = [
    ['attributes', attributes(3, 1), { attributes: 3 }, { attributes: 2 }],
    ['values of one attribute', attributes(1, 3), { values: 3 }, { values: 2 }],
    ['values of all attributes', attributes(3, 2), { values: 6 }, { values: 5 }],
    [
      'changes',
      message({ op: 'modifyRequest', dn: '', changes: [change, change] }),
      { attributes: 2 },
      { attributes: 1 },
    ],
    [
      'values of changes',
      message({ op: 'modifyRequest', dn: '', changes: [change, change] }),
      { values: 2 },
      { values: 1 },
    ],
    ['filter depth', filtered(nested(5)), { filterDepth: 5 }, { filterDepth: 4 }],
    [
      'filter components',
      filtered({ kind: 'or', filters: [nested(2), nested(1)] }),
      { filterNodes: 4 },
      { filterNodes: 3 },
    ],
    [
      'substrings',
      filtered({ kind: 'substrings', attribute: 'cn', any: [Buffer.from('a'), Buffer.from('b')] }),
      { filterNodes: 3 },
      { filterNodes: 2 },
    ],
    ['nesting', filtered(nested(5)), { depth: 6 }, { depth: 5 }],
    ['referrals', message({ op: 'addResponse', result: referrals }), { referrals: 3 }, { referrals: 2 }],
    [
      'references',
      message({ op: 'searchResultReference', urls: ['a', 'b'] }),
      { referrals: 2 },
      { referrals: 1 },
    ],
    [
      'controls',
      {
        ...message({ op: 'unbindRequest' }),
        controls: [
          { oid: '1.2', critical: false },
          { oid: '1.3', critical: false },
        ],
      },
      { controls: 2 },
      { controls: 1 },
    ],
  ];
  test.each(cases)('%s', (_name, original, enough, tooLittle) => {
    const octets = handEncode(original);
    expect(decodeBytes(octets, limits(enough))).toEqual(original);
    expect(() => decodeBytes(octets, limits(tooLittle))).toThrow(DecodeError);
  });

  test('the limits for servers allow the deepest filter', () => {
    expect(decodeBytes(encodeBytes(filtered(nested(64))))).toEqual(filtered(nested(64)));
    expect(() => decodeBytes(encodeBytes(filtered(nested(65))))).toThrow('filter is nested too deeply');
  });
});

test('requests and responses', () => {
  const requests = Object.keys(OPERATION_TAG).filter((op) => isRequest({ op } as Operation));
  expect(requests.length).toBe(10);
  expect(new Set(Object.values(OPERATION_TAG)).size).toBe(Object.keys(OPERATION_TAG).length);
  expect(operationOfTag(-1)).toBeUndefined();
  expect(operationOfTag(0x7e)).toBeUndefined();
});
