/** The schema every directory of ours starts with; an owner may add texts of its own. */
import { POSTERN_MATCHING_RULE } from '../../ldap/postern-oid.ts';
import { CORE_SCHEMA, COSINE_SCHEMA, SYSTEM_SCHEMA } from './definitions/core.ts';
import { MAIL_SCHEMA } from './definitions/mail.ts';
import { POSTERN_SCHEMA } from './definitions/postern.ts';
import { buildSchema, type Schema } from './schema.ts';

/** `more`: texts in the form of OpenLDAP's schema files. Throws `schema.invalid`. */
export function standardSchema(more: readonly string[] = []): Schema {
  return buildSchema(
    [SYSTEM_SCHEMA, CORE_SCHEMA, COSINE_SCHEMA, MAIL_SCHEMA, POSTERN_SCHEMA, ...more],
    POSTERN_MATCHING_RULE.posternAddressMatch,
  );
}
