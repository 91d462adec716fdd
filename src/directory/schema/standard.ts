/** The schema every directory of ours starts with; an owner may add texts of its own. */
import { POSTERN_MATCHING_RULE } from '../../ldap/postern-oid.ts';
import { CERTIFICATE_SCHEMA } from './definitions/certificates.ts';
import { CORE_SCHEMA, SYSTEM_SCHEMA } from './definitions/core.ts';
import { COSINE_SCHEMA } from './definitions/cosine.ts';
import { MAIL_SCHEMA } from './definitions/mail.ts';
import { POSTERN_SCHEMA } from './definitions/postern.ts';
import { buildSchema, type Schema, type SchemaText } from './schema.ts';

const STANDARD: readonly SchemaText[] = [
  { name: 'system schema', text: SYSTEM_SCHEMA },
  { name: 'core schema', text: CORE_SCHEMA },
  { name: 'certificate schema', text: CERTIFICATE_SCHEMA },
  { name: 'cosine schema', text: COSINE_SCHEMA },
  { name: 'mail schema', text: MAIL_SCHEMA },
  { name: 'postern schema', text: POSTERN_SCHEMA },
];

/**
 * `more`: texts in the form of OpenLDAP's schema files, each under the name that errors call it. What they define besides may not
 * contradict what is there. Throws `schema.invalid` with file, line and column.
 */
export function standardSchema(more: readonly (string | SchemaText)[] = []): Schema {
  return buildSchema([...STANDARD, ...more], POSTERN_MATCHING_RULE.posternAddressMatch);
}
