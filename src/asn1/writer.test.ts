import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { int, seq, str, tlv } from '../../test/support/hand-ber.ts';
import { BerReader } from './reader.ts';
import { contextConstructed, contextTag, TAG } from './tag.ts';
import { BerWriter, encodeDer, lengthOctets } from './writer.ts';

test('a slice is what the same octets are as they are, whatever their number', () => {
  const bytes = Buffer.from(Array.from({ length: 400 }, (_, n) => n & 0xff));
  for (let length = 0; length <= 200; length++) {
    const [sliced, raw] = [new BerWriter(64), new BerWriter(64)];
    for (const start of [0, 7, 200]) {
      sliced.slice(bytes, start, start + length);
      raw.raw(bytes.subarray(start, start + length));
    }
    expect(sliced.toBuffer()).toEqual(raw.toBuffer());
  }
});

describe('vectors', () => {
  const cases: [string, string, (w: BerWriter) => void][] = [
    ['integer 0', '020100', (w) => w.integer(0)],
    ['integer 127', '02017f', (w) => w.integer(127)],
    ['integer 128', '02020080', (w) => w.integer(128)],
    ['integer 32767', '02027fff', (w) => w.integer(32_767)],
    ['integer 32768', '0203008000', (w) => w.integer(32_768)],
    ['integer 2^31-1', '02047fffffff', (w) => w.integer(2_147_483_647)],
    ['integer 2^31', '02050080000000', (w) => w.integer(2_147_483_648)],
    ['integer -1', '0201ff', (w) => w.integer(-1)],
    ['integer -128', '020180', (w) => w.integer(-128)],
    ['integer -129', '0202ff7f', (w) => w.integer(-129)],
    ['integer 2^64', '0209010000000000000000', (w) => w.integer(2n ** 64n)],
    ['enumerated', '0a0103', (w) => w.enumerated(3)],
    [
      'boolean',
      '0101ff010100',
      (w) => {
        w.boolean(true);
        w.boolean(false);
      },
    ],
    ['null', '0500', (w) => w.null()],
    ['oid', '0603550403', (w) => w.oid('2.5.4.3')],
    ['bit string', '03020780', (w) => w.bitString(Buffer.from([0x80]), 7)],
    ['octets', '0403010203', (w) => w.octets(Buffer.from([1, 2, 3]))],
    ['text', '0c04c3a4c3b6', (w) => w.utf8String('äö')],
    [
      'context tag',
      '8001618101ff',
      (w) => {
        w.text('a', contextTag(0));
        w.boolean(true, contextTag(1));
      },
    ],
    ['UTCTime', '170d3530303130313030303030305a', (w) => w.time(Date.UTC(1950, 0, 1))],
    ['GeneralizedTime', '180f32303530303130313030303030305a', (w) => w.time(Date.UTC(2050, 0, 1))],
    ['empty sequence', '3000', (w) => w.close(w.open(TAG.sequence))],
  ];
  test.each(cases)('%s', (_name, expected, write) => {
    expect(encodeDer(write).toString('hex')).toBe(expected);
  });

  test.each([127, 128, 255, 256, 65_535, 65_536, 300_000])('a sequence around %d octets', (length) => {
    const content = Buffer.alloc(length - 1 - lengthOctets(length - 2), 7);
    const expected = seq(seq(str('before')), seq(str(content)), str('after'));
    const written = encodeDer((w) => {
      const outer = w.open(TAG.sequence);
      for (const value of [Buffer.from('before'), content]) {
        const inner = w.open(TAG.sequence);
        w.octets(value);
        w.close(inner);
      }
      w.octets(Buffer.from('after'));
      w.close(outer);
    });
    expect(written.equals(expected)).toBe(true);
  });

  test.each([Number.NaN, 1.5, Number.POSITIVE_INFINITY, 2 ** 53])('%d is no integer', (value) => {
    expect(() => encodeDer((w) => w.integer(value))).toThrow('not an integer');
  });

  test('a lone surrogate becomes the replacement character', () => {
    expect(encodeDer((w) => w.text('a\ud800'))).toEqual(str('a\ufffd'));
    expect(encodeDer((w) => w.text(`${'a'.repeat(200)}\ud800`))).toEqual(str(`${'a'.repeat(200)}\ufffd`));
  });
});

describe('using a writer again', () => {
  test('what was taken is never overwritten', () => {
    const writer = new BerWriter(64);
    const taken: Buffer[] = [];
    for (let i = 0; i < 200; i++) {
      const mark = writer.open(TAG.sequence);
      writer.integer(i);
      writer.octets(Buffer.alloc(i, i));
      writer.close(mark);
      taken.push(writer.take());
    }
    taken.forEach((bytes, i) => expect(bytes.equals(seq(int(i), str(Buffer.alloc(i, i))))).toBe(true));
  });

  test('take, toBuffer and rewind keep their hands off each other', () => {
    const writer = new BerWriter(16);
    writer.integer(1);
    const first = writer.take();
    writer.integer(2);
    const second = writer.toBuffer();
    expect(writer.length).toBe(0);
    writer.integer(3);
    const mark = writer.length;
    writer.octets(Buffer.alloc(100));
    writer.rewind(mark);
    expect([first, second, writer.take()]).toEqual([int(1), int(2), int(3)]);
    expect(writer.length).toBe(0);
  });
});

/** A tree of elements: what is written, read back, and compared with OpenSSL's view. */
type Node =
  | { readonly kind: 'integer'; readonly value: bigint }
  | { readonly kind: 'octets'; readonly value: Buffer; readonly context?: number }
  | { readonly kind: 'text'; readonly value: string }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'null' }
  | { readonly kind: 'oid'; readonly value: string }
  | { readonly kind: 'time'; readonly value: number }
  | { readonly kind: 'bits'; readonly value: Buffer }
  | { readonly kind: 'list'; readonly tag: number; readonly items: readonly Node[] };

const { node } = fc.letrec<{ node: Node }>((tie) => ({
  node: fc.oneof(
    { depthSize: 'medium' },
    fc.record({ kind: fc.constant('integer' as const), value: fc.bigInt(-(2n ** 100n), 2n ** 100n) }),
    fc.record({ kind: fc.constant('integer' as const), value: fc.integer().map(BigInt) }),
    fc.record(
      {
        kind: fc.constant('octets' as const),
        value: fc.uint8Array({ maxLength: 300, size: 'large' }).map((b) => Buffer.from(b)),
        context: fc.nat(30),
      },
      { requiredKeys: ['kind', 'value'] },
    ),
    fc.record({
      kind: fc.constant('text' as const),
      value: fc.string({ unit: 'binary', maxLength: 200, size: 'large' }),
    }),
    fc.record({ kind: fc.constant('boolean' as const), value: fc.boolean() }),
    fc.record({ kind: fc.constant('null' as const) }),
    fc.record({
      kind: fc.constant('oid' as const),
      value: fc.array(fc.nat(2 ** 31 - 1), { maxLength: 6 }).map((a) => ['2', '25', ...a].join('.')),
    }),
    fc.record({
      kind: fc.constant('time' as const),
      value: fc.integer({ min: -600_000_000, max: 4_000_000_000 }).map((s) => s * 1000),
    }),
    fc.record({
      kind: fc.constant('bits' as const),
      value: fc.uint8Array({ maxLength: 20 }).map((b) => Buffer.from(b)),
    }),
    fc.record({
      kind: fc.constant('list' as const),
      tag: fc.constantFrom(TAG.sequence, TAG.set, contextConstructed(0), contextConstructed(30)),
      items: fc.array(tie('node'), { maxLength: 5 }),
    }),
  ),
}));

function write(writer: BerWriter, item: Node): void {
  switch (item.kind) {
    case 'integer':
      return writer.integer(item.value);
    case 'octets':
      return writer.octets(
        item.value,
        item.context === undefined ? TAG.octetString : contextTag(item.context),
      );
    case 'text':
      return writer.utf8String(item.value);
    case 'boolean':
      return writer.boolean(item.value);
    case 'null':
      return writer.null();
    case 'oid':
      return writer.oid(item.value);
    case 'time':
      return writer.time(item.value);
    case 'bits':
      return writer.bitString(item.value);
    case 'list': {
      const mark = writer.open(item.tag);
      for (const inner of item.items) write(writer, inner);
      return writer.close(mark);
    }
  }
}

function readBack(reader: BerReader, item: Node): Node {
  switch (item.kind) {
    case 'integer':
      return { kind: 'integer', value: reader.bigInteger() };
    case 'octets':
      return {
        ...item,
        value: reader.octets(item.context === undefined ? TAG.octetString : contextTag(item.context)),
      };
    case 'text':
      return { kind: 'text', value: reader.text(TAG.utf8String) };
    case 'boolean':
      return { kind: 'boolean', value: reader.boolean() };
    case 'null':
      reader.null();
      return item;
    case 'oid':
      return { kind: 'oid', value: reader.oid() };
    case 'time':
      return { kind: 'time', value: reader.time() };
    case 'bits':
      return { kind: 'bits', value: reader.bitString().bytes };
    case 'list': {
      const outer = reader.enter(item.tag);
      const items = item.items.map((inner) => readBack(reader, inner));
      reader.leave(outer);
      return { ...item, items };
    }
  }
}

test('what is written is read back, strictly', () => {
  fc.assert(
    fc.property(node, (tree) => {
      const bytes = encodeDer((writer) => write(writer, tree));
      const reader = new BerReader(bytes, 0, bytes.length, { der: true });
      expect(readBack(reader, tree)).toEqual(tree);
      reader.finish();
    }),
    { numRuns: 1000 },
  );
});

const NAMES: Readonly<Record<number, string>> = {
  1: 'BOOLEAN',
  2: 'INTEGER',
  3: 'BIT STRING',
  4: 'OCTET STRING',
  5: 'NULL',
  6: 'OBJECT',
  12: 'UTF8STRING',
  0x17: 'UTCTIME',
  0x18: 'GENERALIZEDTIME',
  0x30: 'SEQUENCE',
  0x31: 'SET',
};

/** "depth header-length length cons/prim name" of every element, from a walk of our own over the hand encoding. */
function outline(item: Node, depth: number): string[] {
  const bytes = hand(item);
  const length =
    item.kind === 'list'
      ? item.items.reduce((sum, inner) => sum + hand(inner).length, 0)
      : contentLength(bytes);
  const tag = bytes[0] as number;
  const name = NAMES[tag] ?? `cont [ ${tag & 0x1f} ]`;
  const line = `${depth} ${bytes.length - length} ${length} ${item.kind === 'list' ? 'cons' : 'prim'} ${name}`;
  return [line, ...(item.kind === 'list' ? item.items.flatMap((inner) => outline(inner, depth + 1)) : [])];
}

function contentLength(bytes: Buffer): number {
  const first = bytes[1] as number;
  return first < 0x80 ? first : bytes.readUIntBE(2, first & 0x7f);
}

function hand(item: Node): Buffer {
  switch (item.kind) {
    case 'integer':
      return int(item.value);
    case 'octets':
      return str(item.value, item.context === undefined ? 0x04 : 0x80 + item.context);
    case 'text':
      return str(item.value, 0x0c);
    case 'boolean':
      return tlv(0x01, Buffer.from([item.value ? 255 : 0]));
    case 'null':
      return tlv(0x05);
    case 'bits':
      return tlv(0x03, Buffer.concat([Buffer.from([0]), item.value]));
    case 'oid':
    case 'time':
      return encodeDer((writer) => write(writer, item));
    case 'list':
      return tlv(item.tag, item.items.map(hand));
  }
}

test('OpenSSL sees the same elements', () => {
  for (const items of fc.sample(fc.array(node, { minLength: 40, maxLength: 80, size: 'max' }), {
    numRuns: 5,
    seed: 7,
  })) {
    const tree: Node = { kind: 'list', tag: TAG.sequence, items };
    const bytes = encodeDer((writer) => write(writer, tree));
    const output = execFileSync('openssl', ['asn1parse', '-inform', 'DER'], {
      input: bytes,
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    });
    const seen: string[] = [];
    for (const line of output.split('\n')) {
      const match =
        /^ *\d+:d=(\d+) +hl=(\d+) l= *(\d+) (cons|prim): ([A-Z0-9]+(?: STRING)?|cont \[ \d+ \])/.exec(line);
      if (match !== null) seen.push(match.slice(1).join(' '));
    }
    expect(seen).toEqual(outline(tree, 0));
  }
});

test('OpenSSL reads the same integers, identifiers and times', () => {
  const bytes = encodeDer((writer) => {
    const mark = writer.open(TAG.sequence);
    writer.integer(-129);
    writer.integer(2n ** 70n);
    writer.oid('2.25.166232607415017693816478881864819517156.1.9');
    writer.oid('2.5.4.3');
    writer.time(Date.UTC(2026, 10, 21, 22, 52, 1));
    writer.time(Date.UTC(2051, 0, 2, 3, 4, 5));
    writer.close(mark);
  });
  const output = execFileSync('openssl', ['asn1parse', '-inform', 'DER'], { input: bytes, encoding: 'utf8' });
  const values = output
    .split('\n')
    .slice(1, -1)
    .map((line) => line.split(':').slice(3).join(':'));
  expect(values).toEqual([
    '-81',
    '400000000000000000',
    '2.25.166232607415017693816478881864819517156.1.9',
    'commonName',
    '261121225201Z',
    '20510102030405Z',
  ]);
});
