import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeHeader, encodeHeader, JOURNAL_MAGIC } from './file-format.ts';
import { GroupBuffer, type GroupFound, readChanges, readGroup } from './journal-format.ts';
import { decodeEnd, decodeTrailer, encodeTrailer, SNAPSHOT_END_BYTES } from './snapshot-format.ts';

const tag = Buffer.from('a tag 8b');
const emptyGroup = (): GroupFound => ({ sequence: 0, durable: 0, changes: 0, start: 0, end: 0, next: 0 });

type Change = ['put', number, Buffer] | ['delete', number] | ['meta', string, Buffer | undefined];

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const id = fc.integer({ min: 1, max: 0xffff_fffe });
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.tuple(fc.constant('put' as const), id, bytes),
  fc.tuple(fc.constant('delete' as const), id),
  fc.tuple(fc.constant('meta' as const), fc.string({ maxLength: 60 }), fc.option(bytes, { nil: undefined })),
);

function add(buffer: GroupBuffer, changes: readonly Change[]): void {
  for (const [kind, key, value] of changes) {
    if (kind === 'put') buffer.put(key, value, 0, value.length);
    else if (kind === 'delete') buffer.delete(key);
    else buffer.setMeta(Buffer.from(key), value);
  }
}

function read(from: Buffer, group: GroupFound): { changes: Change[]; whole: boolean } {
  const changes: Change[] = [];
  const whole = readChanges(from, group, {
    put: (key, value, start, end) => changes.push(['put', key, Buffer.from(value.subarray(start, end))]),
    delete: (key) => changes.push(['delete', key]),
    setMeta: (key, value) => changes.push(['meta', key, value]),
  });
  return { changes, whole };
}

test('groups are read as they were written; a group that was given up, or is still being made, is not there', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(change, { minLength: 1 }), { maxLength: 6 }),
      fc.array(change),
      (groups, other) => {
        const buffer = new GroupBuffer();
        const after = 2 ** 40;
        for (const [index, changes] of groups.entries()) {
          add(buffer, other);
          buffer.drop();
          add(buffer, changes);
          buffer.end(after + 1 + index);
        }
        add(buffer, other);
        const next = new GroupBuffer();
        buffer.moveOn(next);
        buffer.seal(tag, after);
        const found = emptyGroup();
        let at = 0;
        for (const [index, changes] of groups.entries()) {
          expect(readGroup(buffer.bytes, at, buffer.length, tag, found)).toBe('group');
          expect([found.sequence, found.durable]).toEqual([after + 1 + index, after]);
          expect(read(buffer.bytes, found)).toEqual({ changes, whole: true });
          at = found.next;
        }
        expect(at).toBe(buffer.length);
        if (other.length === 0) return;
        next.end(7);
        next.seal(tag, 3);
        expect(readGroup(next.bytes, 0, next.length, tag, found)).toBe('group');
        expect([found.sequence, found.durable]).toEqual([7, 3]);
        expect(read(next.bytes, found)).toEqual({ changes: other, whole: true });
      },
    ),
  );
});

test('any bytes: changes are understood or not, never a crash', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat({ max: 20 }), (array, changes) => {
      const from = Buffer.from(array);
      // Small numbers make more of it look like changes.
      for (let at = 0; at < from.length; at += 1) if (at % 3 !== 0) from[at] = (from[at] as number) % 5;
      read(from, { ...emptyGroup(), changes, end: from.length });
      readGroup(Buffer.concat([tag, from]), 0, from.length, tag, emptyGroup());
      const body = Buffer.concat([Buffer.alloc(16), from]);
      decodeTrailer(body);
    }),
    { numRuns: 2000 },
  );
});

test('a longest batch is refused, not written', () => {
  const buffer = new GroupBuffer();
  const large = Buffer.alloc(100 * 1024 * 1024);
  buffer.put(1, large, 0, large.length);
  buffer.put(2, large, 0, large.length);
  expect(() => buffer.put(3, large, 0, large.length)).toThrow(expect.objectContaining({ code: 'usage' }));
});

test('headers and trailers are read as they were written', () => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.maxSafeNat(),
      fc.dictionary(fc.string({ maxLength: 20 }), bytes),
      (number, sequence, named) => {
        const header = { number, store: Buffer.alloc(16, 3), tag, sequence, time: number * 1000 };
        const encoded = encodeHeader(JOURNAL_MAGIC, header);
        expect(decodeHeader(JOURNAL_MAGIC, encoded)).toEqual(header);
        const chunks = Array.from({ length: number % 5 }, (_, index) => ({
          length: index * 4,
          checksum: index,
        }));
        const trailer = {
          sequence,
          idLimit: number,
          records: 3,
          chunks,
          meta: new Map(Object.entries(named)),
        };
        const tail = encodeTrailer(trailer, 1000);
        const end = decodeEnd(tail.subarray(-SNAPSHOT_END_BYTES), 1000 + tail.length);
        expect(end?.place).toBe(1000);
        expect(decodeTrailer(tail.subarray(0, end?.length))).toEqual(trailer);
      },
    ),
  );
});
