/** Every target by its name. Load it after the coverage has been started. */
import type { FuzzTarget } from './target.ts';
import { COOKIE, MATCH, REQUEST } from './targets/directory.ts';
import { BER, FRAME, MESSAGE, VALUE } from './targets/ldap.ts';
import { SCHEMA } from './targets/schema.ts';
import { DN, FILTER, LDIF, LDIF_CHANGE, SUBSCRIPTION, URL } from './targets/text.ts';
import { VICI } from './targets/vici.ts';

export const TARGETS: readonly FuzzTarget[] = [
  BER,
  FRAME,
  MESSAGE,
  VALUE,
  FILTER,
  DN,
  URL,
  LDIF,
  LDIF_CHANGE,
  SCHEMA,
  COOKIE,
  MATCH,
  REQUEST,
  SUBSCRIPTION,
  VICI,
];
