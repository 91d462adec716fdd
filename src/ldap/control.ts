/**
 * Object identifiers of controls, extended operations and features by name. Their values: `control-values.ts`,
 * `sync-values.ts` (RFC 4533), `extended-values.ts`, `postern-extended.ts`.
 */
import type { Control } from './message.ts';
import { POSTERN_CONTROL, POSTERN_EXTENDED } from './postern-oid.ts';

export const CONTROL = {
  /** RFC 2696, request and response */
  pagedResults: '1.2.840.113556.1.4.319',
  /** RFC 2891 */
  sortRequest: '1.2.840.113556.1.4.473',
  sortResponse: '1.2.840.113556.1.4.474',
  /** draft-armijo-ldap-treedelete; no value */
  treeDelete: '1.2.840.113556.1.4.805',
  /** RFC 4370, and its draft's first version */
  proxiedAuthorization: '2.16.840.1.113730.3.4.18',
  proxiedAuthorization1: '2.16.840.1.113730.3.4.12',
  /** RFC 3296; no value */
  manageDsaIT: '2.16.840.1.113730.3.4.2',
  /** RFC 3672 */
  subentries: '1.3.6.1.4.1.4203.1.10.1',
  /** RFC 4527, request and response */
  preRead: '1.3.6.1.1.13.1',
  postRead: '1.3.6.1.1.13.2',
  /** RFC 4528 */
  assertion: '1.3.6.1.1.12',
  /** RFC 4533 */
  syncRequest: '1.3.6.1.4.1.4203.1.9.1.1',
  syncState: '1.3.6.1.4.1.4203.1.9.1.2',
  syncDone: '1.3.6.1.4.1.4203.1.9.1.3',
  /** Active Directory, [MS-ADTS] 3.1.1.3.4.1: deleted objects are found too (no value); changes since a cookie; wait for changes (no value) */
  showDeleted: '1.2.840.113556.1.4.417',
  dirSync: '1.2.840.113556.1.4.841',
  notification: '1.2.840.113556.1.4.528',
  /** RFC 5805; the value is the transaction identifier as it is */
  transactionSpecification: '1.3.6.1.1.21.2',
  ...POSTERN_CONTROL,
} as const;
export type ControlName = keyof typeof CONTROL;

export const EXTENDED = {
  /** RFC 4511 §4.14; neither value */
  startTls: '1.3.6.1.4.1.1466.20037',
  /** RFC 4511 §4.4.1, unsolicited; no value */
  noticeOfDisconnection: '1.3.6.1.4.1.1466.20036',
  /** RFC 3062 */
  passwordModify: '1.3.6.1.4.1.4203.1.11.1',
  /** RFC 4532; the response's value is the authorization identity as UTF-8 */
  whoAmI: '1.3.6.1.4.1.4203.1.11.3',
  /** RFC 3909 */
  cancel: '1.3.6.1.1.8',
  /** RFC 5805; the response's value is the transaction identifier as it is */
  startTransaction: '1.3.6.1.1.21.1',
  endTransaction: '1.3.6.1.1.21.3',
  /** RFC 5805 §2.4, unsolicited; the value is the transaction identifier as it is */
  abortedTransactionNotice: '1.3.6.1.1.21.4',
  ...POSTERN_EXTENDED,
} as const;
export type ExtendedName = keyof typeof EXTENDED;

/** RFC 4533 §2.5 */
export const INTERMEDIATE = { syncInfo: '1.3.6.1.4.1.4203.1.9.1.4' } as const;

/** Values of supportedFeatures (RFC 4512 §5.1). */
export const FEATURE = {
  /** RFC 4525 */
  modifyIncrement: '1.3.6.1.1.14',
  /** RFC 3673: `+` */
  allOperationalAttributes: '1.3.6.1.4.1.4203.1.5.1',
  /** RFC 4529: `@class` */
  objectClassAttributes: '1.3.6.1.4.1.4203.1.5.2',
  /** RFC 4526: `(&)` and `(|)` */
  absoluteFilters: '1.3.6.1.4.1.4203.1.5.3',
  /** RFC 3866 §2: `cn;lang-de` */
  languageTags: '1.3.6.1.4.1.4203.1.5.4',
  /** RFC 3866 §3: `cn;lang-de-` */
  languageRanges: '1.3.6.1.4.1.4203.1.5.5',
} as const;

/** The first control with `oid`. */
export function findControl(controls: readonly Control[], oid: string): Control | undefined {
  for (const control of controls) if (control.oid === oid) return control;
  return undefined;
}

const NAMES: ReadonlyMap<string, string> = new Map(
  [CONTROL, EXTENDED, INTERMEDIATE, FEATURE].flatMap((table) =>
    Object.entries(table).map(([name, oid]): [string, string] => [oid, name]),
  ),
);

/** "pagedResults", or the OID itself when it has no name here: for messages. */
export function oidName(oid: string): string {
  return NAMES.get(oid) ?? oid;
}
