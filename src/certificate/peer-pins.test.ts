import { beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../base/clock.ts';
import { systemRandom } from '../base/random.ts';
import { createIdentity, type Identity } from './identity.ts';
import { followStatements, type PeerPins, pinsOf, sawPin, settlePins, shownPin } from './peer-pins.ts';
import type { Pin } from './pin.ts';
import { stateNextCertificate } from './statement.ts';

const NAME = 'edge1.example.com';
const OVERLAP = 1000;
let keys: Identity[];
beforeAll(async () => {
  keys = await Promise.all(
    Array.from({ length: 6 }, () => createIdentity(NAME, { clock: systemClock, random: systemRandom })),
  );
});

const key = (at: number): Identity => keys[at] as Identity;
const says = (from: number, to: number, issuedAt: number, subject = NAME): Buffer =>
  stateNextCertificate(key(from), key(to), { subject, issuedAt });
const follow = (pins: PeerPins, ...statements: Uint8Array[]): PeerPins =>
  followStatements(pins, NAME, statements).pins;
const numbers = (pins: PeerPins): number[] =>
  pinsOf(pins).map((pin) => keys.findIndex((one) => one.pin === pin));
const only = (at: number): PeerPins => ({ current: key(at).pin });

describe('pins of a peer', () => {
  it('are two from the announcement until the new key was in use for the overlap', () => {
    const announced = follow(only(0), says(0, 1, 5));
    expect(numbers(announced)).toEqual([0, 1]);
    expect(followStatements(only(0), NAME, [says(0, 1, 5)]).certificate).toEqual(key(1).certificate.der);
    // However long nobody has seen the new one.
    expect(settlePins(announced, 1e12, OVERLAP)).toBe(announced);
    const seen = sawPin(announced, key(1).pin, 100);
    expect(shownPin(announced)).toBe(key(0).pin);
    expect(shownPin(seen)).toBe(key(1).pin);
    expect(numbers(settlePins(seen, 100 + OVERLAP - 1, OVERLAP))).toEqual([0, 1]);
    const settled = settlePins(seen, 100 + OVERLAP, OVERLAP);
    expect(settled).toEqual({ current: key(1).pin, former: key(0).pin });
    // By a clock that was ahead it would never end.
    expect(settlePins({ ...seen, seenAt: 9000 }, 100, OVERLAP)).toEqual({ ...seen, seenAt: 100 });
  });

  it('the same word again changes nothing', () => {
    const seen = sawPin(follow(only(0), says(0, 1, 5)), key(1).pin, 100);
    expect(follow(seen, says(0, 1, 5))).toBe(seen);
    expect(follow(seen, says(0, 1, 6))).toBe(seen);
    expect(sawPin(seen, key(1).pin, 200)).toBe(seen);
  });

  it('a node that was restored from a backup is known, and may choose another successor', () => {
    const seen = sawPin(follow(only(0), says(0, 1, 5)), key(1).pin, 100);
    const back = sawPin(seen, key(0).pin, 200);
    expect(back.seenAt).toBeUndefined();
    expect(numbers(follow(back, says(0, 2, 6)))).toEqual([0, 2]);
  });

  it('whoever was away follows the chain, also when its beginning is not told any more', () => {
    expect(numbers(follow(only(0), says(0, 1, 1), says(1, 2, 2), says(2, 3, 3)))).toEqual([2, 3]);
    expect(follow(only(0), says(0, 1, 1), says(1, 2, 2), says(2, 3, 3)).former).toBe(key(1).pin);
    const announced = follow(only(0), says(0, 1, 1));
    expect(numbers(follow(announced, says(1, 2, 2)))).toEqual([1, 2]);
    expect(numbers(follow(announced, says(2, 3, 2)))).toEqual([0, 1]);
  });

  it.each<[string, () => Uint8Array[]]>([
    ['a stranger announces a next certificate', () => [says(4, 5, 9)]],
    [
      'a stranger signs as if it were the node',
      () => [Buffer.concat([says(4, 5, 9).subarray(0, -1), Buffer.of(0)])],
    ],
    ['another node that is trusted names its own next key under this name', () => [says(3, 4, 9)]],
    ['the node speaks of another', () => [says(0, 4, 9, 'edge2.example.com')]],
    ['nothing is said', () => []],
    ['rubbish', () => [Buffer.from('rubbish'), Buffer.alloc(0)]],
  ])('%s: nothing changes', (_what, statements) => {
    const pins = only(0);
    expect(follow(pins, ...statements())).toBe(pins);
  });

  it('an older announcement that is replayed changes nothing, nor does one of a key that is gone', () => {
    const twice = follow(follow(only(0), says(0, 1, 5)), says(0, 2, 6));
    expect(numbers(twice)).toEqual([0, 2]);
    expect(follow(twice, says(0, 1, 5))).toBe(twice);
    const settled = settlePins(sawPin(twice, key(2).pin, 0), OVERLAP, OVERLAP);
    for (const replayed of [says(0, 1, 5), says(0, 2, 6), says(0, 4, 99)])
      expect(follow(settled, replayed)).toBe(settled);
    // Back to the old key only by the present key's own word.
    expect(numbers(follow(settled, says(2, 0, 7)))).toEqual([2, 0]);
  });

  it('a key that nobody announced is not seen', () => {
    const pins = follow(only(0), says(0, 1, 5));
    expect(sawPin(pins, key(4).pin as Pin, 5)).toBe(pins);
    expect(sawPin(only(0), key(4).pin, 5)).toEqual(only(0));
  });
});
