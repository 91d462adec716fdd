import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { handEncode, handOperation } from '../../test/support/hand-ber.ts';
import { anyMessage, messageOf, OPERATIONS } from '../../test/support/message-arbitrary.ts';
import { BerWriter } from '../asn1/writer.ts';
import { decodeBytes, decodeControlsAt, decodeMessage, peekMessage } from './decode.ts';
import { encodeSearchResultEntry } from './encode-entry.ts';
import { encodeBytes, encodeMessage } from './encode.ts';
import type { Message, Operation } from './message.ts';
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

test('requests and responses', () => {
  const requests = Object.keys(OPERATION_TAG).filter((op) => isRequest({ op } as Operation));
  expect(requests.length).toBe(10);
  expect(new Set(Object.values(OPERATION_TAG)).size).toBe(Object.keys(OPERATION_TAG).length);
  expect(operationOfTag(-1)).toBeUndefined();
  expect(operationOfTag(0x7e)).toBeUndefined();
});
