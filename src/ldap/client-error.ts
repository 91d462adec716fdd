/** Results and losses of connections as errors. */
import { PosternError } from '../base/error.ts';
import type { LdapResult } from './message.ts';
import { resultName } from './result-code.ts';

/** What to do about a result, where there is more to say than its name. */
const HINTS: ReadonlyMap<number, string> = new Map([
  [
    4,
    'the server limits how many entries a search returns: page the search, or raise the limit for this account',
  ],
  [8, 'the server wants stronger authentication: use ldaps or StartTLS'],
  [13, 'the server answers this only over TLS: use ldaps or StartTLS'],
  [32, 'check the base DN in the configuration'],
  [49, 'wrong name or password, or an account that is expired, disabled or locked'],
  [50, 'give this account the rights it needs in the server’s access rules'],
  [51, 'the server is busy; it is tried again'],
  [52, 'the server is not available at the moment; it is tried again'],
]);

/**
 * `ldap.result` for a result that is not a success. Fields: `result` (name), `resultCode` (number), `diagnostic`, `matchedDn`, `what`.
 * @param what the operation and its object, such as `search of dc=example,dc=org`
 */
export function resultError(result: LdapResult, what: string): PosternError {
  const name = resultName(result.code);
  const hint = HINTS.get(result.code);
  const diagnostic = printable(result.diagnostic);
  return new PosternError('ldap.result', `${what}: ${name}${diagnostic === '' ? '' : ` (${diagnostic})`}`, {
    fields: {
      result: name,
      resultCode: result.code,
      diagnostic,
      matchedDn: printable(result.matchedDn),
      ...(result.referrals === undefined ? {} : { referrals: printable(result.referrals.join(' ')) }),
      what,
    },
    ...(hint === undefined ? {} : { hint }),
  });
}

/** The result code in an `ldap.result` error, or undefined for anything else. */
export function resultCodeOf(error: unknown): number | undefined {
  if (!(error instanceof PosternError) || error.code !== 'ldap.result') return undefined;
  const code = error.fields['resultCode'];
  return typeof code === 'number' ? code : undefined;
}

/** `ldap.closed`. With a notice of disconnection: fields `result`, `resultCode` and `diagnostic`. */
export function closedError(
  where: string,
  why: string,
  options: { cause?: unknown; hint?: string; notice?: LdapResult } = {},
): PosternError {
  const { notice, ...rest } = options;
  if (notice === undefined)
    return new PosternError('ldap.closed', `connection to ${where} ended: ${why}`, rest);
  const fields = {
    result: resultName(notice.code),
    resultCode: notice.code,
    diagnostic: printable(notice.diagnostic),
  };
  const text = fields.diagnostic === '' ? fields.result : `${fields.result} (${fields.diagnostic})`;
  return new PosternError('ldap.closed', `connection to ${where} ended: ${why}: ${text}`, {
    ...rest,
    fields,
  });
}

/** Text of the other side, fit for one line of a log. */
function printable(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ')
    .trim()
    .slice(0, 500);
}
