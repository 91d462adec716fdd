import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EdgeListing } from './edge-listing.ts';

const guid = (n: number): Buffer => createHash('md5').update(String(n)).digest();
const hash = (n: number): Buffer => createHash('sha256').update(String(n)).digest();

describe('edge listing', () => {
  it('agrees with a map, whatever is added and compared', () => {
    const number = fc.integer({ min: 0, max: 300 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(number, number), { maxLength: 400 }),
        fc.array(fc.tuple(number, number)),
        (added, compared) => {
          const listing = new EdgeListing(2);
          const model = new Map<number, number>();
          for (const [id, content] of added) {
            listing.add(guid(id), hash(content));
            if (!model.has(id)) model.set(id, content);
          }
          const seen = new Set<number>();
          for (const [id, content] of compared) {
            const expected = !model.has(id) ? 'missing' : model.get(id) === content ? 'equal' : 'different';
            expect(listing.compare(guid(id), hash(content))).toBe(expected);
            seen.add(id);
          }
          const unseen = [...model.keys()]
            .filter((id) => !seen.has(id))
            .map((id) => guid(id).toString('hex'));
          expect(
            [...listing.unseenGuids(7)]
              .flat()
              .map((g) => g.toString('hex'))
              .sort(),
          ).toEqual(unseen.sort());
          expect([listing.size, listing.unseen]).toEqual([model.size, unseen.length]);
        },
      ),
    );
  });
});
