/** `hub.toml`: the schema of the hub daemon's configuration. Defaults stand here and nowhere else. */
import { z } from 'zod';
import { certificateTable, duration, fqdn, logTable, serverName } from './field.ts';

const attributeRule = z.strictObject({ attribute: z.string(), value: z.string() });

const sourceTable = z
  .strictObject({
    kind: z.enum(['openldap', 'ldif']),
    /** openldap: ldaps://host[:port], ldap://host[:port] (with start_tls unless on loopback) or ldapi://%2Fpath. */
    url: z.string().optional(),
    start_tls: z.boolean().default(false),
    /** File of CA certificates to check the source against. */
    ca_file: z.string().optional(),
    /** Base64 SHA-256 of the source's public key (SPKI), instead of a CA. */
    pin: z.string().optional(),
    base: z.string().default(''),
    filter: z.string().default('(objectClass=*)'),
    bind_dn: z.string().default(''),
    /** File that holds the password of bind_dn; must not be readable by others. */
    password_file: z.string().optional(),
    /** ldif: the file. */
    path: z.string().optional(),
    mapping: z.enum(['inetorgperson', 'active-directory', 'zimbra', 'postfix-book']).default('inetorgperson'),
    /** Replaces parts of the mapping by name. */
    override: z
      .strictObject({
        addresses: z.array(z.string()).optional(),
        proxy_addresses: z.array(z.string()).optional(),
        kinds: z
          .array(
            attributeRule.extend({
              kind: z.enum(['user', 'group', 'contact', 'sharedMailbox', 'resource', 'publicFolder']),
            }),
          )
          .optional(),
        leave_out: z.array(attributeRule).optional(),
        require: attributeRule.optional(),
      })
      .optional(),
  })
  .superRefine((source, context) => {
    const need = source.kind === 'ldif' ? 'path' : 'url';
    if (source[need] === undefined)
      context.addIssue({
        code: 'custom',
        path: [need],
        message: `a source of kind "${source.kind}" needs ${need}`,
      });
    if (source.kind === 'openldap' && source.base === '')
      context.addIssue({
        code: 'custom',
        path: ['base'],
        message: 'say where recipients are, for example "ou=people,dc=example,dc=org"',
      });
    if (source.bind_dn !== '' && source.password_file === undefined)
      context.addIssue({ code: 'custom', path: ['password_file'], message: 'bind_dn needs a password_file' });
  });

export const hubConfigSchema = z.strictObject({
  name: serverName,
  fqdn,
  site: serverName.default('Default-Site'),
  /** Folder of the configuration directory, the mirror, the trust store and the control socket. */
  data: z.string().startsWith('/', 'an absolute path').default('/var/lib/postern/hub'),
  identity: certificateTable.optional(),
  source: sourceTable.optional(),
  schedule: z
    .strictObject({
      configuration: duration('3min'),
      recipients: duration('5min'),
      topology: duration('5min'),
    })
    .prefault({}),
  lease: z
    .strictObject({
      lock: duration('6min'),
      renew_below: duration('4min'),
    })
    .prefault({}),
  credentials: z
    .strictObject({
      lifetime: duration('30d'),
    })
    .prefault({}),
  log: logTable.prefault({}),
});

export type HubConfig = z.infer<typeof hubConfigSchema>;
export type SourceConfig = z.infer<typeof sourceTable>;
