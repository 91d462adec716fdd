/** The error that ends an operation with a result code: thrown where the rule is, turned into an LDAPResult at the edge. */
import { PosternError } from '../base/error.ts';
import type { LdapResult } from '../ldap/message.ts';
import { RESULT_CODE, type ResultName, resultName } from '../ldap/result-code.ts';

export class Refusal extends PosternError {
  override readonly name: string = 'Refusal';
  readonly result: LdapResult;

  constructor(result: LdapResult) {
    super(
      'ldap.result',
      `${resultName(result.code)}${result.diagnostic === '' ? '' : `: ${result.diagnostic}`}`,
      {
        fields: { result: resultName(result.code), resultCode: result.code },
      },
    );
    this.result = result;
  }
}

/** Ends the operation. `matchedDn` is for noSuchObject (RFC 4511 §4.1.9). */
export function refuse(name: ResultName, diagnostic = '', matchedDn = ''): never {
  throw new Refusal({ code: RESULT_CODE[name], matchedDn, diagnostic });
}

export const SUCCESS: LdapResult = { code: 0, matchedDn: '', diagnostic: '' };

export function resultOf(name: ResultName, diagnostic = ''): LdapResult {
  return { code: RESULT_CODE[name], matchedDn: '', diagnostic };
}
