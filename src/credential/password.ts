/**
 * Passwords of replication accounts: random ones only, made within the policy that the edge's host declares, kept on the edge as a salted
 * digest. A fast digest is right here: no guessing finds 256 random bits, and a bind must cost microseconds.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { PosternError } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import { Secret } from '../base/secret.ts';

/** What the edge's host asks of passwords; declared in its configuration, published to hubs, checked on both sides. */
export interface PasswordPolicy {
  /** Characters; what is made is `longest` long. */
  readonly shortest: number;
  readonly longest: number;
  /** Least number of characters of each class. */
  readonly upper: number;
  readonly lower: number;
  readonly digit: number;
  readonly symbol: number;
}

export const DEFAULT_PASSWORD_POLICY: PasswordPolicy = {
  shortest: 32,
  longest: 128,
  upper: 1,
  lower: 1,
  digit: 1,
  symbol: 1,
};

/** No quotes, backslash, angle brackets, ampersand, `$`, space: a password survives XML, shells and LDIF unescaped. */
const SYMBOLS = '-_.+:=@%^,~!';
const ALPHABET = `ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789${SYMBOLS}`;
/** Bits that must be random: 32 bytes. */
const LEAST_BITS = 256;
const LEAST_LENGTH = Math.ceil(LEAST_BITS / Math.log2(ALPHABET.length));
/** Bytes of a password that is looked at; a longer one is refused before it is hashed. */
export const LONGEST_PASSWORD_BYTES = 1024;
const CLASSES = {
  upper: /[A-Z]/g,
  lower: /[a-z]/g,
  digit: /[0-9]/g,
  symbol: /[^A-Za-z0-9]/g,
} as const;

/** Throws `config.invalid` for a policy that allows no password of 256 random bits. */
export function checkPasswordPolicy(policy: PasswordPolicy): PasswordPolicy {
  const required = policy.upper + policy.lower + policy.digit + policy.symbol;
  const wrong = Object.values(policy).some((value) => !Number.isInteger(value) || value < 0)
    ? 'every number of a password policy is a whole number, 0 or more'
    : policy.shortest > policy.longest
      ? 'the shortest password is longer than the longest'
      : policy.longest < LEAST_LENGTH
        ? `passwords of ${policy.longest} characters cannot hold ${LEAST_BITS} random bits; ${LEAST_LENGTH} can`
        : policy.longest > LONGEST_PASSWORD_BYTES
          ? `passwords are at most ${LONGEST_PASSWORD_BYTES} characters long`
          : required * 2 > policy.longest
            ? 'the required character classes leave less than half of the password to chance'
            : undefined;
  if (wrong === undefined) return policy;
  throw new PosternError('config.invalid', wrong, { hint: 'correct the password policy of this edge' });
}

/** A random password of the greatest length that the policy allows. */
export function createPassword(policy: PasswordPolicy, random: Random): Secret {
  checkPasswordPolicy(policy);
  // Drawing again until the classes fit keeps every allowed password equally likely.
  for (let attempt = 0; attempt < 1000; attempt++) {
    const text = randomText(policy.longest, random);
    if (missingFromPolicy(text, policy) === undefined) return new Secret(text);
  }
  throw new PosternError('internal', 'no password fits the policy: the random source repeats itself');
}

function randomText(length: number, random: Random): string {
  // Bytes at or above the largest multiple of the alphabet's size would favour its first letters.
  const limit = 256 - (256 % ALPHABET.length);
  let text = '';
  for (let draws = 0; text.length < length && draws < 100; draws++) {
    for (const byte of random.bytes(length))
      if (byte < limit && text.length < length) text += ALPHABET.charAt(byte % ALPHABET.length);
  }
  return text;
}

/** What a password lacks under the policy, in words, or `undefined` when it fits. Says nothing of the password itself. */
export function missingFromPolicy(password: string, policy: PasswordPolicy): string | undefined {
  if (password.length < policy.shortest) return `it is shorter than ${policy.shortest} characters`;
  if (password.length > policy.longest) return `it is longer than ${policy.longest} characters`;
  for (const name of ['upper', 'lower', 'digit', 'symbol'] as const) {
    if ((password.match(CLASSES[name])?.length ?? 0) < policy[name])
      return `it has fewer than ${policy[name]} of class "${name}"`;
  }
  return undefined;
}

/** As an account keeps it: HMAC-SHA-256 of the password under a random salt. Both base64. */
export interface PasswordDigest {
  readonly salt: string;
  readonly digest: string;
}

const SALT_BYTES = 16;

export function digestPassword(password: Secret, random: Random): PasswordDigest {
  const salt = random.bytes(SALT_BYTES);
  return { salt: salt.toString('base64'), digest: hmac(salt, password.reveal()).toString('base64') };
}

/** Compares in constant time. False for an over-long password. */
export function passwordMatches(password: Uint8Array, stored: PasswordDigest): boolean {
  if (password.length === 0 || password.length > LONGEST_PASSWORD_BYTES) return false;
  const expected = Buffer.from(stored.digest, 'base64');
  const actual = hmac(Buffer.from(stored.salt, 'base64'), password);
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}

/** Compare with this when there is no such account, so that the time of an answer does not tell names apart. Matches nothing. */
export const NO_ACCOUNT_DIGEST: PasswordDigest = {
  salt: Buffer.alloc(SALT_BYTES).toString('base64'),
  digest: Buffer.alloc(32).toString('base64'),
};

function hmac(salt: Uint8Array, password: Uint8Array): Buffer {
  return createHmac('sha256', salt).update(password).digest();
}
