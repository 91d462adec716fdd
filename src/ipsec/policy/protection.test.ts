import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { alignedBlocks, readProtections, writeProtections } from './protection.ts';

function read(...texts: string[]): { faults: string[]; written: string[] } {
  const faults: string[] = [];
  const protections = readProtections(texts, (index, message) => faults.push(`${index}: ${message}`));
  return { faults, written: writeProtections(protections) };
}

describe('what is protected', () => {
  it.each([
    [['passwords'], ['passwords']],
    [
      ['directory', 'streams'],
      ['directory', 'streams'],
    ],
    [
      ['tcp/8080', 'udp/53', 'tcp/25'],
      ['tcp/25', 'tcp/8080', 'udp/53'],
    ],
    [
      ['streams', 'tcp/8000-8099'],
      ['streams', 'tcp/8000-8099'],
    ],
    [['everything'], ['everything']],
  ])('%j is read and written', (texts, written) => {
    expect(read(...texts)).toEqual({ faults: [], written });
  });

  it.each([
    [['tcp/70000'], '0: "tcp/70000": ports go from 1 to 65535'],
    [['tcp/0'], '0: "tcp/0": ports go from 1 to 65535'],
    [['tcp/1-70000'], '0: "tcp/1-70000": ports go from 1 to 65535'],
    [['tcp/20-10'], '0: "tcp/20-10": the range ends before it begins'],
    [
      ['passwrods'],
      /0: "passwrods": neither a preset \(passwords, streams, directory, everything\) nor ports/,
    ],
    [['8080'], /neither a preset/],
    [['toString'], /neither a preset/],
    [['udp/400-600'], /what key exchange itself uses/],
    [['passwords', 'streams'], '1: "streams" and "passwords" both name tcp/110: leave one of them out'],
    [['passwords', 'everything'], /1: "everything" and "passwords" both name the same ports/],
    [['tcp/8000-8100', 'tcp/8090-8200'], /both name tcp\/8090-8100/],
    [['passwords', 'tcp/143'], /both name tcp\/143/],
  ])('%j is refused', (texts, fault) => {
    expect(read(...texts).faults).toEqual([typeof fault === 'string' ? fault : expect.stringMatching(fault)]);
  });

  it('takes the same port of two protocols', () => {
    expect(read('tcp/53', 'udp/53').faults).toEqual([]);
  });
});

describe('ranges', () => {
  it.each([
    [49_152, 65_535, [[49_152, 65_535]]],
    [110, 110, [[110, 110]]],
    [
      8000,
      8100,
      [
        [8000, 8063],
        [8064, 8095],
        [8096, 8099],
        [8100, 8100],
      ],
    ],
    [1, 65_535, Array.from({ length: 16 }, (_, bit) => [2 ** bit, 2 ** (bit + 1) - 1])],
  ])('%i to %i', (first, last, blocks) => {
    expect(alignedBlocks(first, last)).toEqual(blocks);
  });

  it('become blocks that a value and a mask can hold, without gap or overlap, and no fewer would do', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 65_535 }), fc.integer({ min: 0, max: 65_535 }), (a, b) => {
        const [first, last] = [Math.min(a, b), Math.max(a, b)];
        const blocks = alignedBlocks(first, last);
        let next = first;
        for (const [from, to] of blocks) {
          const size = to - from + 1;
          expect(from).toBe(next);
          expect([size & (size - 1), from % size]).toEqual([0, 0]);
          next = to + 1;
        }
        expect(next).toBe(last + 1);
        // Two neighbours that together were a block would be one too many.
        blocks.slice(1).forEach(([from, to], index) => {
          const [before = 0] = blocks[index] ?? [];
          const joined = to - before + 1;
          expect(joined === (to - from + 1) * 2 && before % joined === 0).toBe(false);
        });
      }),
    );
  });
});
