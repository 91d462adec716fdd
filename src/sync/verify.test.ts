import { createHash, createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bucketOf, DigestSum, entryHash } from './content-digest.ts';
import { EdgeListing } from './push/edge-listing.ts';
import type { MirrorListener, MirrorView } from './push/mirror-view.ts';
import { edgeAttributes, guidText, packRecipient, type Recipient } from './recipient.ts';
import {
  type CompareOptions,
  compareContent,
  type EdgeContent,
  expectedBuckets,
  findByAddress,
} from './verify.ts';

const digestKey = Buffer.alloc(32, 7);
const hash = (address: string): Buffer =>
  createHmac('sha256', 'key').update(address).digest().subarray(0, 16);

type Content = Map<string, Recipient>;

/** A mirror over a map; `sequence` is raised by `change`. */
class MapMirror implements MirrorView {
  readonly content: Content;
  sequence = 1;
  readonly current = true;

  constructor(content: Content) {
    this.content = content;
  }

  get size(): number {
    return this.content.size;
  }

  get position() {
    return { mirrorId: Buffer.alloc(16), sequence: this.sequence, cookie: Buffer.alloc(1) };
  }

  change(guid: string, recipient: Recipient | undefined): void {
    if (recipient === undefined) this.content.delete(guid);
    else this.content.set(guid, recipient);
    this.sequence++;
  }

  subscribe(_listener: MirrorListener): () => void {
    return () => undefined;
  }

  visit(from: number, most: number, visitor: (id: number, guid: Buffer, packed: Buffer) => void) {
    const all = [...this.content];
    for (const [at, [guid, recipient]] of all.slice(from, from + most).entries())
      visitor(from + at, Buffer.from(guid, 'hex'), packRecipient(recipient));
    return from + most < all.length ? from + most : undefined;
  }

  flushed(): Promise<void> {
    return Promise.resolve();
  }
}

/** An edge that stores `content`, computed the way the real one does. */
function edgeWith(content: Content): EdgeContent {
  const entries = () =>
    [...content].map(([guid, recipient]) => {
      const bytes = Buffer.from(guid, 'hex');
      return { guid: bytes, hash: entryHash(digestKey, bytes, edgeAttributes(recipient, hash)) };
    });
  return {
    summary(bits) {
      const total = new DigestSum();
      const buckets = Array.from({ length: bits === 0 ? 0 : 2 ** bits }, () => new DigestSum());
      for (const entry of entries()) {
        total.add(entry.hash);
        buckets[bucketOf(entry.guid, bits)]?.add(entry.hash);
      }
      const plain = (sum: DigestSum) => ({ count: sum.count, digest: sum.toBytes() });
      return Promise.resolve({ ...plain(total), buckets: buckets.map(plain) });
    },
    bucket: (bits, prefix) =>
      Promise.resolve(entries().filter((entry) => bucketOf(entry.guid, bits) === prefix)),
    listing() {
      const listing = new EdgeListing();
      for (const entry of entries()) listing.add(entry.guid, entry.hash);
      return Promise.resolve(listing);
    },
  };
}

function person(n: number): [string, Recipient] {
  const guid = createHash('md5').update(String(n)).digest('hex');
  return [guid, { kind: 'user', addresses: [`user${n}@example.org`] }];
}

function people(count: number): Content {
  return new Map(Array.from({ length: count }, (_, n) => person(n)));
}

function options(mirror: MapMirror, edge: EdgeContent, more: Partial<CompareOptions> = {}): CompareOptions {
  return { mirror, hash, digestKey, edge, maxReport: 100, settled: () => Promise.resolve(), ...more };
}

describe('compare content', () => {
  it.each([0, 1, 5000])('%d equal recipients are equal', async (count) => {
    const content = people(count);
    const comparison = await compareContent(options(new MapMirror(content), edgeWith(new Map(content))));
    expect(comparison).toEqual({
      equal: true,
      hubCount: count,
      edgeCount: count,
      differences: [],
      differenceCount: 0,
      disturbed: false,
    });
  });

  it.each([10, 6000])('names every difference among %d, with the addresses of the mirror', async (count) => {
    const mirror = new MapMirror(people(count));
    const there = people(count);
    const [missing] = person(3);
    const [altered] = person(5);
    const [extra, recipient] = person(count + 1);
    there.delete(missing);
    there.set(altered, { kind: 'user', addresses: ['user5@example.org', 'more@example.org'] });
    there.set(extra, recipient);
    const comparison = await compareContent(options(mirror, edgeWith(there)));
    expect(comparison).toMatchObject({
      equal: false,
      hubCount: count,
      edgeCount: count,
      differenceCount: 3,
    });
    const text = (hex: string): string => guidText(Buffer.from(hex, 'hex'));
    expect(new Map(comparison.differences.map(({ guid, ...rest }) => [guid, rest]))).toEqual(
      new Map<string, object>([
        [text(missing), { what: 'missing', addresses: ['user3@example.org'] }],
        [text(altered), { what: 'altered', addresses: ['user5@example.org'] }],
        [text(extra), { what: 'unexpected' }],
      ]),
    );
  });

  it('a kind that differs is a difference', async () => {
    const there = people(20);
    there.set(person(1)[0], { kind: 'group', addresses: ['user1@example.org'] });
    const comparison = await compareContent(options(new MapMirror(people(20)), edgeWith(there)));
    expect(comparison.differences.map(({ what }) => what)).toEqual(['altered']);
  });

  it.each([50, 12_000])('counts all of %d differences and names at most as many as asked', async (count) => {
    const there = new Map([person(count + 1)]);
    const comparison = await compareContent(
      options(new MapMirror(people(count)), edgeWith(there), { maxReport: 7 }),
    );
    expect(comparison.differences).toHaveLength(7);
    expect(comparison.differenceCount).toBe(count + 1);
  });

  it('a change that is on its way is no difference', async () => {
    const mirror = new MapMirror(people(30));
    const there = people(30);
    const [guid, recipient] = person(77);
    let rounds = 0;
    const settled = (): Promise<void> => {
      // The change of the first round has arrived in the second.
      if (++rounds === 2) there.set(guid, recipient);
      return Promise.resolve();
    };
    const edge = edgeWith(there);
    const comparison = await compareContent(
      options(
        mirror,
        {
          ...edge,
          summary: (bits) => {
            if (rounds === 1) mirror.change(guid, recipient);
            return edge.summary(bits);
          },
        },
        { settled },
      ),
    );
    expect(comparison).toMatchObject({ equal: true, disturbed: false });
  });

  it('with changes all the time, only what differs every time is told, and said to be so', async () => {
    const mirror = new MapMirror(people(30));
    const there = people(30);
    there.delete(person(4)[0]);
    let n = 1000;
    const edge = edgeWith(there);
    const comparison = await compareContent(
      options(mirror, {
        ...edge,
        summary: (bits) => {
          mirror.change(...person(n++));
          return edge.summary(bits);
        },
        bucket: async (bits, prefix) => {
          const entries = await edge.bucket(bits, prefix);
          there.set(...person(n - 1));
          return entries;
        },
      }),
    );
    expect(comparison.disturbed).toBe(true);
    expect(comparison.differences.map(({ addresses }) => addresses)).toEqual([['user4@example.org']]);
  });

  it('finds exactly what two sets differ in', async () => {
    const set = fc.uniqueArray(fc.nat(40));
    await fc.assert(
      fc.asyncProperty(set, set, async (here, there) => {
        const mirror = new MapMirror(new Map(here.map(person)));
        const comparison = await compareContent(options(mirror, edgeWith(new Map(there.map(person)))));
        const name = (n: number): string => guidText(Buffer.from(person(n)[0], 'hex'));
        const expected = [
          ...here.filter((n) => !there.includes(n)).map((n) => `missing ${name(n)}`),
          ...there.filter((n) => !here.includes(n)).map((n) => `unexpected ${name(n)}`),
        ];
        expect(comparison.differences.map(({ what, guid }) => `${what} ${guid}`).sort()).toEqual(
          expected.sort(),
        );
        expect(comparison.equal).toBe(expected.length === 0);
      }),
    );
  });
});

describe('expected buckets', () => {
  it('sum up to the same whatever the number of buckets', async () => {
    const mirror = new MapMirror(people(500));
    const [whole] = await expectedBuckets({ mirror, hash, digestKey }, 0);
    const parts = await expectedBuckets({ mirror, hash, digestKey }, 6);
    const number = (sum: DigestSum | undefined): bigint =>
      BigInt(`0x${sum?.toBytes().toString('hex') ?? ''}`);
    expect(parts.reduce((sum, part) => sum + number(part), 0n) % (1n << 256n)).toBe(number(whole));
    expect(parts.reduce((count, part) => count + part.count, 0)).toBe(500);
    expect(parts).toHaveLength(64);
  });
});

describe('find by address', () => {
  const mirror = new MapMirror(
    new Map([
      ['00'.repeat(16), { kind: 'user', addresses: ['ann@example.org', 'joann@example.org'] }],
      ['11'.repeat(16), { kind: 'group', addresses: ['joann@example.org'] }],
      ['22'.repeat(16), { kind: 'user', addresses: ['mary-ann@example.org'] }],
    ]),
  );

  it.each([
    ['ann@example.org', ['00']],
    ['joann@example.org', ['00', '11']],
    ['nn@example.org', []],
    ['nobody@example.org', []],
  ])('%s', async (address, guids) => {
    const found = await findByAddress(mirror, address);
    expect(found.map(({ guid }) => guid.toString('hex').slice(0, 2))).toEqual(guids);
  });
});
