/** What a later version may add, what is refused, and what is too much. */
import { describe, expect, test } from 'vitest';
import {
  bool,
  control,
  enumerated,
  handEncode,
  int,
  seq,
  set,
  str,
  tlv,
} from '../../test/support/hand-ber.ts';
import { DecodeError } from '../base/decode-error.ts';
import { decodeBytes } from './decode.ts';
import { encodeBytes } from './encode.ts';
import { type DecodeLimits, SERVER_LIMITS } from './limits.ts';
import type { Filter, Message, Operation } from './message.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
const message = (operation: Operation): Message => ({ messageId: 1, operation, controls: [] });

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
    ['something else than an authentication', seq(int(1), tlv(0x60, int(3), str(''), str('')))],
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
