/** Result codes by name (RFC 4511 §4.1.9, Appendix A) and those of the extensions we know. */

export const RESULT_CODE = {
  success: 0,
  operationsError: 1,
  protocolError: 2,
  timeLimitExceeded: 3,
  sizeLimitExceeded: 4,
  compareFalse: 5,
  compareTrue: 6,
  authMethodNotSupported: 7,
  strongerAuthRequired: 8,
  referral: 10,
  adminLimitExceeded: 11,
  unavailableCriticalExtension: 12,
  confidentialityRequired: 13,
  saslBindInProgress: 14,
  noSuchAttribute: 16,
  undefinedAttributeType: 17,
  inappropriateMatching: 18,
  constraintViolation: 19,
  attributeOrValueExists: 20,
  invalidAttributeSyntax: 21,
  noSuchObject: 32,
  aliasProblem: 33,
  invalidDNSyntax: 34,
  aliasDereferencingProblem: 36,
  inappropriateAuthentication: 48,
  invalidCredentials: 49,
  insufficientAccessRights: 50,
  busy: 51,
  unavailable: 52,
  unwillingToPerform: 53,
  loopDetect: 54,
  namingViolation: 64,
  objectClassViolation: 65,
  notAllowedOnNonLeaf: 66,
  notAllowedOnRDN: 67,
  entryAlreadyExists: 68,
  objectClassModsProhibited: 69,
  affectsMultipleDSAs: 71,
  other: 80,
  // RFC 3909
  canceled: 118,
  noSuchOperation: 119,
  tooLate: 120,
  cannotCancel: 121,
  // RFC 4528
  assertionFailed: 122,
  // RFC 4370
  authorizationDenied: 123,
  // RFC 4533
  'e-syncRefreshRequired': 4096,
} as const;

export type ResultName = keyof typeof RESULT_CODE;

const NAMES: ReadonlyMap<number, ResultName> = new Map(
  Object.entries(RESULT_CODE).map(([name, code]) => [code, name as ResultName]),
);

/** "noSuchObject"; "result 4711" for a code nobody told us of. */
export function resultName(code: number): string {
  return NAMES.get(code) ?? `result ${code}`;
}

/** The number of a name; undefined when unknown. */
export function resultCode(name: string): number | undefined {
  return Object.hasOwn(RESULT_CODE, name) ? RESULT_CODE[name as ResultName] : undefined;
}

/** Codes that don't mean failure: success, both outcomes of a compare, and a SASL bind that goes on (RFC 4511 Appendix A.1). */
export function isSuccess(code: number): boolean {
  return (
    code === RESULT_CODE.success ||
    code === RESULT_CODE.compareFalse ||
    code === RESULT_CODE.compareTrue ||
    code === RESULT_CODE.saslBindInProgress
  );
}
