/** The password policy as one element's text: `shortest=32 longest=128 upper=1 lower=1 digit=1 symbol=1`. */
import { PosternError } from '../base/error.ts';
import { checkPasswordPolicy, type PasswordPolicy } from '../credential/password.ts';

const PARTS = ['shortest', 'longest', 'upper', 'lower', 'digit', 'symbol'] as const;

export function formatPolicy(policy: PasswordPolicy): string {
  return PARTS.map((part) => `${part}=${policy[part]}`).join(' ');
}

/** Throws `subscription.malformed`, also for a policy that allows no good password. */
export function parsePolicy(text: string): PasswordPolicy {
  const match =
    /^shortest=(\d{1,4}) longest=(\d{1,4}) upper=(\d{1,4}) lower=(\d{1,4}) digit=(\d{1,4}) symbol=(\d{1,4})$/.exec(
      text,
    );
  if (match !== null) {
    const [shortest, longest, upper, lower, digit, symbol] = match.slice(1).map(Number) as [
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    try {
      return checkPasswordPolicy({ shortest, longest, upper, lower, digit, symbol });
    } catch (cause) {
      throw malformed(cause);
    }
  }
  throw malformed();
}

function malformed(cause?: unknown): PosternError {
  return new PosternError('subscription.malformed', 'PosternPasswordPolicy is not a usable password policy', {
    hint: 'correct password_policy in edge.toml and make a new file',
    fields: { element: 'PosternPasswordPolicy' },
    ...(cause === undefined ? {} : { cause }),
  });
}
