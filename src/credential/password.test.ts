import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fakeRandom } from '../../test/fakes/random.ts';
import { Secret } from '../base/secret.ts';
import {
  checkPasswordPolicy,
  createPassword,
  DEFAULT_PASSWORD_POLICY,
  digestPassword,
  missingFromPolicy,
  NO_ACCOUNT_DIGEST,
  passwordMatches,
} from './password.ts';

describe('passwords', () => {
  it('fit the policy, are of the greatest length and never repeat', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 43, max: 256 }),
        fc.array(fc.nat(5), { minLength: 4, maxLength: 4 }),
        fc.string(),
        (longest, [upper = 0, lower = 0, digit = 0, symbol = 0], seed) => {
          const policy = { shortest: 20, longest, upper, lower, digit, symbol };
          const random = fakeRandom(seed);
          const password = createPassword(policy, random).revealText();
          expect(password).toHaveLength(longest);
          expect(missingFromPolicy(password, policy)).toBeUndefined();
          expect(password).toMatch(/^[A-Za-z0-9\-_.+:=@%^,~!]+$/);
          expect(createPassword(policy, random).revealText()).not.toBe(password);
        },
      ),
    );
  });

  it('use every character about equally often', () => {
    const random = fakeRandom('uniform');
    const counts = new Map<string, number>();
    for (let i = 0; i < 400; i++)
      for (const c of createPassword({ ...DEFAULT_PASSWORD_POLICY, longest: 1000 }, random).revealText())
        counts.set(c, (counts.get(c) ?? 0) + 1);
    // 400,000 draws of 74 characters: 5405 each, standard deviation 73.
    expect(counts.size).toBe(74);
    for (const count of counts.values()) expect(Math.abs(count - 400_000 / 74)).toBeLessThan(6 * 73);
  });

  it.each([
    ['too short for 256 random bits', { longest: 41, shortest: 1 }],
    ['shortest above longest', { shortest: 100, longest: 50 }],
    ['over-long', { longest: 1025 }],
    ['no chance left', { longest: 50, digit: 20, upper: 6, shortest: 50 }],
    ['a fraction', { digit: 1.5 }],
    ['a negative number', { digit: -1 }],
  ])('a policy that is %s is refused', (_name, change) => {
    expect(() => checkPasswordPolicy({ ...DEFAULT_PASSWORD_POLICY, ...change })).toThrow(
      expect.objectContaining({ code: 'config.invalid' }),
    );
  });

  it('a random source that repeats itself ends in an error, not in a loop', () => {
    const stuck = { ...fakeRandom(), bytes: (length: number) => Buffer.alloc(length, 0xff) };
    expect(() => createPassword(DEFAULT_PASSWORD_POLICY, stuck)).toThrow(
      expect.objectContaining({ code: 'internal' }),
    );
  });

  it.each([
    ['short', 'it is shorter than 4 characters'],
    ['abcdefghi', 'it is longer than 8 characters'],
    ['abcdefg1', 'it has fewer than 1 of class "upper"'],
    ['ABCDEFG1', 'it has fewer than 1 of class "lower"'],
    ['Abcdefgh', 'it has fewer than 1 of class "digit"'],
    ['Abcdefg1', 'it has fewer than 2 of class "symbol"'],
  ])('%s: %s', (password, reason) => {
    expect(
      missingFromPolicy(password === 'short' ? 'abc' : password, {
        shortest: 4,
        longest: 8,
        upper: 1,
        lower: 1,
        digit: 1,
        symbol: 2,
      }),
    ).toBe(reason);
  });
});

describe('digests', () => {
  const random = fakeRandom('digest');
  const password = createPassword(DEFAULT_PASSWORD_POLICY, random);
  const stored = digestPassword(password, random);

  it('match their password only', () => {
    expect(passwordMatches(password.reveal(), stored)).toBe(true);
    for (let i = 0; i < password.length; i++) {
      const other = Buffer.from(password.reveal());
      other[i] = (other[i] ?? 0) ^ 1;
      expect(passwordMatches(other, stored)).toBe(false);
    }
    expect(passwordMatches(Buffer.alloc(0), stored)).toBe(false);
    expect(passwordMatches(Buffer.concat([password.reveal(), Buffer.alloc(1)]), stored)).toBe(false);
    expect(passwordMatches(Buffer.alloc(2000), stored)).toBe(false);
  });

  it('are salted', () => {
    expect(digestPassword(password, random)).not.toEqual(stored);
    expect(JSON.stringify(stored)).not.toContain(password.revealText());
  });

  it('of no account match nothing', () => {
    expect(passwordMatches(password.reveal(), NO_ACCOUNT_DIGEST)).toBe(false);
  });

  it('that are damaged match nothing', () => {
    for (const digest of ['', 'AAAA', '!!!!'])
      expect(passwordMatches(password.reveal(), { ...stored, digest })).toBe(false);
  });

  it('do not depend on how the password is handed in', () => {
    expect(passwordMatches(new Secret(password.revealText()).reveal(), stored)).toBe(true);
  });
});
