/** Failures of a directory as a source, in the four codes of the `Feed` contract. */
import { isPosternError, PosternError } from '../../base/error.ts';
import { resultCodeOf, resultError } from '../../ldap/client-error.ts';
import type { LdapResult } from '../../ldap/message.ts';
import { RESULT_CODE } from '../../ldap/result-code.ts';

/** Results after which what was received must not be taken for everything there is. */
const CUT_SHORT: ReadonlySet<number> = new Set([
  RESULT_CODE.timeLimitExceeded,
  RESULT_CODE.sizeLimitExceeded,
  RESULT_CODE.adminLimitExceeded,
]);
/** Results that will come again until somebody changes something. */
const WRONG: ReadonlySet<number> = new Set([
  RESULT_CODE.protocolError,
  RESULT_CODE.referral,
  RESULT_CODE.unavailableCriticalExtension,
  RESULT_CODE.noSuchObject,
  RESULT_CODE.invalidDNSyntax,
  RESULT_CODE.insufficientAccessRights,
]);

const HINTS: ReadonlyMap<number, string> = new Map([
  [
    RESULT_CODE.unavailableCriticalExtension,
    'the server does not offer content synchronisation (RFC 4533) for this base: load its provider (slapd: overlay syncprov)',
  ],
  [
    RESULT_CODE.sizeLimitExceeded,
    'the server limits what this account may read: in slapd.conf "limits dn.exact=<bind_dn> size=unlimited time=unlimited"',
  ],
  [
    RESULT_CODE.timeLimitExceeded,
    'the server limits how long this account may read: in slapd.conf "limits dn.exact=<bind_dn> size=unlimited time=unlimited"',
  ],
  [RESULT_CODE.referral, 'another server holds this base: name that one in source.url'],
  [RESULT_CODE.noSuchObject, 'check source.base; an account that may not see it gets the same answer'],
]);

/** The error of a search that ended with `result`. `withCookie`: it went on from an earlier position. */
export function searchFailure(result: LdapResult, withCookie: boolean): PosternError {
  const cause = resultError(result, 'content synchronisation');
  const hint = HINTS.get(result.code) ?? cause.hint;
  const fields = { ...cause.fields };
  if (withCookie && result.code === RESULT_CODE.unwillingToPerform) {
    return new PosternError('source.behind', 'the source is behind what was already read from it', {
      cause,
      fields,
      hint: 'was the directory restored from an older backup, or is this a replica that lags? If it is right as it is: postern sync run --full',
    });
  }
  return new PosternError(failureCode(result.code), 'the source did not answer to the end', {
    cause,
    fields,
    ...(hint === undefined ? {} : { hint }),
  });
}

function failureCode(result: number): 'source.incomplete' | 'source.invalid' | 'source.unavailable' {
  if (CUT_SHORT.has(result)) return 'source.incomplete';
  return WRONG.has(result) ? 'source.invalid' : 'source.unavailable';
}

/** Anything thrown below a feed, as an error of the contract; `canceled` stays what it is. */
export function sourceFailure(error: unknown, where: string): PosternError {
  if (error instanceof PosternError && error.code.startsWith('source.')) return error;
  if (isPosternError(error, 'canceled', 'usage', 'internal')) return error;
  const result = resultCodeOf(error);
  const code =
    result !== undefined
      ? failureCode(result)
      : isPosternError(error, 'ldap.protocol', 'decode')
        ? 'source.invalid'
        : 'source.unavailable';
  const hint = error instanceof PosternError ? error.hint : undefined;
  return new PosternError(code, `the source ${where} cannot be read`, {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });
}
