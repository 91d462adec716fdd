import { expect, test } from 'vitest';
import { isSuccess, RESULT_CODE, resultCode, resultName } from './result-code.ts';

/** RFC 4511 §4.1.9 as printed there: number and name. */
const RFC_4511 = `
  success (0), operationsError (1), protocolError (2), timeLimitExceeded (3), sizeLimitExceeded (4), compareFalse (5),
  compareTrue (6), authMethodNotSupported (7), strongerAuthRequired (8), referral (10), adminLimitExceeded (11),
  unavailableCriticalExtension (12), confidentialityRequired (13), saslBindInProgress (14), noSuchAttribute (16),
  undefinedAttributeType (17), inappropriateMatching (18), constraintViolation (19), attributeOrValueExists (20),
  invalidAttributeSyntax (21), noSuchObject (32), aliasProblem (33), invalidDNSyntax (34), aliasDereferencingProblem (36),
  inappropriateAuthentication (48), invalidCredentials (49), insufficientAccessRights (50), busy (51), unavailable (52),
  unwillingToPerform (53), loopDetect (54), namingViolation (64), objectClassViolation (65), notAllowedOnNonLeaf (66),
  notAllowedOnRDN (67), entryAlreadyExists (68), objectClassModsProhibited (69), affectsMultipleDSAs (71), other (80)`;

test('all of RFC 4511 both ways', () => {
  const codes = [...RFC_4511.matchAll(/(\w+) \((\d+)\)/g)];
  expect(codes.length).toBe(39);
  for (const [, name, number] of codes) {
    expect(resultCode(name as string)).toBe(Number(number));
    expect(resultName(Number(number))).toBe(name);
  }
});

test('extensions, unknown codes, no code twice', () => {
  expect([118, 119, 120, 121, 122, 123, 4096].map(resultName)).toEqual([
    'canceled',
    'noSuchOperation',
    'tooLate',
    'cannotCancel',
    'assertionFailed',
    'authorizationDenied',
    'e-syncRefreshRequired',
  ]);
  expect(resultName(4711)).toBe('result 4711');
  expect(resultCode('constructor')).toBeUndefined();
  expect(resultCode('nonsense')).toBeUndefined();
  const numbers = Object.values(RESULT_CODE);
  expect(new Set(numbers).size).toBe(numbers.length);
});

test("what isn't failure", () => {
  expect(Object.values(RESULT_CODE).filter(isSuccess)).toEqual([0, 5, 6, 14]);
});
