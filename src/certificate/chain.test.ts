import { beforeAll, describe, expect, test } from 'vitest';
import { FakeClock } from '../../test/fakes/clock.ts';
import { fakeRandom } from '../../test/fakes/random.ts';
import { endorsedMembers, MOST_STATEMENTS, succession } from './chain.ts';
import { createIdentity, type Identity } from './identity.ts';
import { stateMembership, stateNextCertificate, stateSealingKey } from './statement.ts';

const clock = new FakeClock();
const random = fakeRandom();
let hubs: Identity[];
const hub = (n: number): Identity => hubs[n] as Identity;

beforeAll(async () => {
  hubs = await Promise.all(
    Array.from({ length: 6 }, (_, n) => createIdentity(`hub${n}.example.com`, { clock, random })),
  );
});

const endorse = (by: number, who: number, role: 'hub' | 'edge' = 'hub'): Buffer =>
  stateMembership(
    hub(by),
    { pin: hub(who).pin, role },
    { subject: `hub${who}.example.com`, issuedAt: 1000 + who },
  );
const successor = (of: number, who: number, issuedAt = 1000): Buffer =>
  stateNextCertificate(hub(of), hub(who), { subject: 'hub0.example.com', issuedAt });
const names = (statements: Uint8Array[]): string[] =>
  endorsedMembers([hub(0).pin], statements)
    .map(({ name }) => name)
    .sort();

describe('endorsed members', () => {
  test('of a root, and of those it endorsed, in any order', () => {
    const statements = [endorse(2, 3), endorse(1, 2), endorse(0, 1)];
    expect(names(statements)).toEqual(['hub1.example.com', 'hub2.example.com', 'hub3.example.com']);
    expect(endorsedMembers([hub(0).pin], statements)[0]).toEqual({
      name: 'hub1.example.com',
      pin: hub(1).pin,
      role: 'hub',
      endorsedBy: hub(0).pin,
      issuedAt: 1001,
    });
  });

  test('nobody endorses himself in, nor through others who are not members', () => {
    expect(names([endorse(1, 1), endorse(1, 2), endorse(2, 1)])).toEqual([]);
  });

  test('an edge endorses nobody', () => {
    expect(names([endorse(0, 1, 'edge'), endorse(1, 2)])).toEqual(['hub1.example.com']);
  });

  test('circles end; repetitions count once', () => {
    expect(names([endorse(0, 1), endorse(1, 2), endorse(2, 1), endorse(2, 0), endorse(0, 1)])).toEqual([
      'hub0.example.com',
      'hub1.example.com',
      'hub2.example.com',
    ]);
  });

  test('rubbish, altered and other statements are passed over', () => {
    const altered = endorse(0, 1);
    altered[100] = (altered[100] ?? 0) ^ 1;
    const other = stateSealingKey(hub(0), Buffer.alloc(32), { subject: 'hub0', issuedAt: 1 });
    expect(names([Buffer.from('x'), altered, other, endorse(0, 2)])).toEqual(['hub2.example.com']);
  });

  test('no more than so many are looked at', () => {
    const rubbish = Array.from({ length: MOST_STATEMENTS }, () => Buffer.from('x'));
    expect(names([...rubbish.slice(1), endorse(0, 1)])).toEqual(['hub1.example.com']);
    expect(names([...rubbish, endorse(0, 1)])).toEqual([]);
  });
});

describe('succession', () => {
  const pins = (statements: Uint8Array[]): (number | undefined)[] =>
    succession(hub(0).pin, statements).map(({ pin }) => hubs.findIndex((one) => one.pin === pin));

  test('is followed key by key, retired ones included', () => {
    expect(pins([successor(1, 2), successor(0, 1)])).toEqual([1, 2]);
    expect(succession(hub(0).pin, [successor(0, 1)])[0]?.certificate).toEqual(hub(1).certificate.der);
    expect(pins([])).toEqual([]);
  });

  test('a gap ends it; strangers do not continue it', () => {
    expect(pins([successor(0, 1), successor(2, 3)])).toEqual([1]);
    expect(pins([successor(3, 4)])).toEqual([]);
  });

  test('of two successors the one stated later counts', () => {
    expect(pins([successor(0, 1, 5), successor(0, 2, 7), successor(0, 3, 6)])).toEqual([2]);
  });

  test('circles end', () => {
    expect(pins([successor(0, 1), successor(1, 2), successor(2, 0)])).toEqual([1, 2]);
    expect(pins([successor(0, 0)])).toEqual([]);
  });
});
