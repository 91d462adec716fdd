import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bucketOf, type ContentAttribute, deriveDigestKey, DigestSum, entryHash } from './content-digest.ts';

const KEY = deriveDigestKey(Buffer.alloc(32, 1));
const ID = Buffer.alloc(16, 2);
const values = (...texts: string[]): Buffer[] => texts.map((text) => Buffer.from(text));

describe('the hash of an entry', () => {
  test('is the one that other versions computed', () => {
    // Made by an earlier implementation: edges and hubs of different versions compare these.
    const attributes = [
      { type: 'posternRecipientKind', values: values('user') },
      { type: 'posternAddress', values: [Buffer.alloc(16, 9), Buffer.alloc(16, 3)] },
      { type: 'cn', values: values('x') },
    ];
    expect(KEY.toString('hex')).toBe('7a949f00fa39bf6c07f4e9d123af31f4d7b500dd643d62c7bbcaab51f6f6810f');
    expect(entryHash(KEY, ID, attributes).toString('hex')).toBe(
      '7511396a237fe0f15ee58d900b12cfdf2695c1c2a03be3d76e139ec0db365bf2',
    );
  });

  test('is SHA-256 over the stated form', () => {
    const u32 = (n: number): Buffer => Buffer.from([0, 0, n >> 8, n & 255]);
    const expected = createHash('sha256')
      .update(KEY)
      .update(ID)
      .update(Buffer.concat([Buffer.from([0]), u32(2), u32(1), Buffer.from('a'), u32(2), Buffer.from('bb')]))
      .update(Buffer.concat([Buffer.from([5]), u32(1), u32(300), Buffer.alloc(300, 'k')]))
      .digest();
    const attributes = [
      { type: 'posternrecipientkind', values: [Buffer.alloc(300, 'k')] },
      { type: 'POSTERNADDRESS', values: values('bb', 'a') },
    ];
    expect(entryHash(KEY, ID, attributes)).toEqual(expected);
  });

  const attribute: fc.Arbitrary<ContentAttribute> = fc.record({
    type: fc.constantFrom('posternAddress', 'posternCatchAll', 'posternDomainKind', 'posternMaxAge', 'cn'),
    values: fc.array(
      fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
      { maxLength: 4 },
    ),
  });
  const entry = fc.uniqueArray(attribute, { selector: ({ type }) => type });

  test('does not depend on order, nor on what does not count', () => {
    fc.assert(
      fc.property(entry, fc.infiniteStream(fc.nat()), (attributes, choices) => {
        const shuffle = <T>(items: readonly T[]): T[] =>
          items
            .map((item) => ({ item, at: choices.next().value as number }))
            .sort((a, b) => a.at - b.at)
            .map(({ item }) => item);
        const other = shuffle(attributes.filter(({ type }) => type !== 'cn')).map(
          ({ type, values: all }) => ({
            type,
            values: shuffle(all),
          }),
        );
        const before = attributes.map(({ values: all }) => [...all]);
        expect(entryHash(KEY, ID, other)).toEqual(entryHash(KEY, ID, attributes));
        expect(attributes.map(({ values: all }) => [...all])).toEqual(before);
      }),
    );
  });

  test('tells different entries apart, and different keys and identifiers', () => {
    const seen = new Set<string>();
    const add = (key: Buffer, id: Buffer, attributes: ContentAttribute[]): void => {
      const hash = entryHash(key, id, attributes).toString('hex');
      expect(seen.has(hash)).toBe(false);
      seen.add(hash);
    };
    add(KEY, ID, []);
    add(KEY, ID, [{ type: 'posternAddress', values: values('ab', 'c') }]);
    add(KEY, ID, [{ type: 'posternAddress', values: values('a', 'bc') }]);
    add(KEY, ID, [{ type: 'posternAddress', values: values('abc') }]);
    add(KEY, ID, [{ type: 'posternAddress', values: values('abc', '') }]);
    add(KEY, ID, [{ type: 'posternCatchAll', values: values('abc') }]);
    add(KEY, Buffer.alloc(16, 3), [{ type: 'posternAddress', values: values('abc') }]);
    add(Buffer.alloc(32), ID, [{ type: 'posternAddress', values: values('abc') }]);
    add(KEY, ID, [{ type: 'posternAddress', values: [Buffer.alloc(10_000)] }]);
  });
});

test('buckets are the first bits of the hash of the identifier', () => {
  const first = createHash('sha256').update(ID).digest();
  expect([bucketOf(ID, 0), bucketOf(ID, 1), bucketOf(ID, 8), bucketOf(ID, 12)]).toEqual([
    0,
    (first[0] as number) >> 7,
    first[0],
    ((first[0] as number) << 4) | ((first[1] as number) >> 4),
  ]);
});

describe('sums', () => {
  const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));
  const edge = fc.constantFrom(
    Buffer.alloc(32),
    Buffer.alloc(32, 255),
    Buffer.from(`${'00'.repeat(31)}01`, 'hex'),
  );
  const hashes = fc.array(fc.oneof(hash, edge));

  test('agree with arithmetic modulo 2^256', () => {
    fc.assert(
      fc.property(hashes, hashes, (added, taken) => {
        const sum = new DigestSum();
        for (const each of added) sum.add(each);
        for (const each of taken) sum.subtract(each);
        const number = (all: Buffer[]): bigint =>
          all.reduce((total, each) => total + BigInt(`0x${each.toString('hex')}`), 0n);
        const expected = BigInt.asUintN(256, number(added) - number(taken));
        expect(sum.toBytes().toString('hex')).toBe(expected.toString(16).padStart(64, '0'));
        expect(sum.count).toBe(added.length - taken.length);
        expect(DigestSum.from(sum.count, sum.toBytes()).equals(sum)).toBe(true);
      }),
    );
  });

  test('are equal only with their counts', () => {
    const one = DigestSum.from(1, Buffer.alloc(32, 7));
    expect(one.equals(DigestSum.from(1, Buffer.alloc(32, 7)))).toBe(true);
    expect(one.equals(DigestSum.from(2, Buffer.alloc(32, 7)))).toBe(false);
    expect(one.equals(DigestSum.from(1, Buffer.alloc(32, 8)))).toBe(false);
  });
});
