/**
 * The schema that an LDAP server needs to hold the configuration directory: the classes of its objects and what they are made of, out of
 * the one schema of ours. `packaging/schema/` holds these texts (a test compares). Pure.
 */
import { formatDescription } from '../directory/schema/description.ts';
import type { Schema } from '../directory/schema/schema.ts';

const CLASSES = ['posternContainer', 'posternHub', 'posternEdgeServer', 'posternAcceptedDomain'];
const OURS = /^postern/i;

interface Definitions {
  /** RFC 4512 descriptions. */
  readonly attributeTypes: readonly string[];
  readonly objectClasses: readonly string[];
}

function definitions(schema: Schema): Definitions {
  const classes = CLASSES.flatMap((name) => schema.objectClass(name) ?? []);
  const used = new Set(classes.flatMap(({ must, may }) => [...must, ...may]));
  return {
    attributeTypes: schema.attributeTypes
      .filter((type) => used.has(type) && OURS.test(type.name))
      .map(({ description }) => formatDescription(description)),
    objectClasses: classes.map(({ description }) => formatDescription(description)),
  };
}

/** For `include` in slapd.conf, and for 389DS after a change of the keywords. */
export function openLdapSchema(schema: Schema): string {
  const { attributeTypes, objectClasses } = definitions(schema);
  return [
    '# Objects of the configuration directory: sites, hubs, edges, accepted domains.',
    '# slapd.conf: include this file after core.schema.',
    '',
    ...attributeTypes.map((text) => `attributetype ${text}`),
    ...objectClasses.map((text) => `objectclass ${text}`),
    '',
  ].join('\n');
}

/** For `ldapadd -Y EXTERNAL -H ldapi:/// -f postern.ldif` on a server that is configured in cn=config. */
export function openLdapSchemaLdif(schema: Schema): string {
  const { attributeTypes, objectClasses } = definitions(schema);
  return [
    '# Objects of the configuration directory: sites, hubs, edges, accepted domains.',
    '# ldapadd -Y EXTERNAL -H ldapi:/// -f postern.ldif',
    'dn: cn=postern,cn=schema,cn=config',
    'objectClass: olcSchemaConfig',
    'cn: postern',
    ...attributeTypes.map((text) => `olcAttributeTypes: ${text}`),
    ...objectClasses.map((text) => `olcObjectClasses: ${text}`),
    '',
  ].join('\n');
}
