/** `hub.toml`: the schema of the hub daemon's configuration. Defaults stand here and nowhere else. */
import { z } from 'zod';
import { isPosternError } from '../base/error.ts';
import { checkTimings, DEFAULT_TIMINGS, type RenewalTimings } from '../credential/schedule.ts';
import { certificateTable, duration, fqdn, logTable, rolloverTable, serverName } from './field.ts';

const attributeRule = z.strictObject({ attribute: z.string(), value: z.string() });

/** An LDAP server of the organisation. */
const serverShape = {
  /** ldaps://host[:port], ldap://host[:port] (with start_tls unless on loopback) or ldapi://%2Fpath. */
  url: z.string(),
  start_tls: z.boolean().default(false),
  /** File of CA certificates to check the server against. */
  ca_file: z.string().optional(),
  /** Base64 SHA-256 of the server's public key (SPKI), instead of a CA. */
  pin: z.string().optional(),
  bind_dn: z.string().default(''),
  /** File that holds the password of bind_dn; must not be readable by others. */
  password_file: z.string().optional(),
};

/** Where the configuration directory is, unless it is the hub's own. */
const configurationTable = z.strictObject({ ...serverShape, base: z.string() }).superRefine(needPasswordFile);

const sourceTable = z
  .strictObject({
    kind: z.enum(['openldap', 'active-directory', '389ds', 'ldap', 'ldif']),
    ...serverShape,
    /** Not for ldif. */
    url: serverShape.url.optional(),
    /** active-directory: other domain controllers, in the order in which they are tried when the present one fails. */
    fallback_urls: z.array(z.string()).max(32).default([]),
    /** active-directory: how long a controller fails before the next one is tried. */
    fallback_after: duration('5min'),
    /** active-directory: how changes are asked for; auto is DirSync where the account may use it. */
    changes: z.enum(['auto', 'dirsync', 'usn']).default('auto'),
    /** ldap: the attribute that names an entry for ever, 16 octets or their hexadecimal digits. */
    unique_id: z.string().default('entryUUID'),
    /** ldap: how often everything is read, which alone shows what was deleted. */
    full: duration('1h'),
    /** active-directory, ldap: longest pause between two questions for changes; a notification asks at once. */
    poll: duration('15s'),
    /** active-directory: a position older than this is not gone on from; everything is read then. */
    cookie_validity: duration('21d'),
    base: z.string().default(''),
    filter: z.string().default('(objectClass=*)'),
    /** ldif: the file. */
    path: z.string().optional(),
    /** Left out: active-directory for a source of that kind, else inetorgperson. */
    mapping: z.enum(['inetorgperson', 'active-directory', 'zimbra', 'postfix-book']).optional(),
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
    if (source.kind !== 'ldif' && source.base === '')
      context.addIssue({
        code: 'custom',
        path: ['base'],
        message: 'say where recipients are, for example "ou=people,dc=example,dc=org"',
      });
    needPasswordFile(source, context);
  })
  .transform((source) => ({
    ...source,
    mapping: source.mapping ?? (source.kind === 'active-directory' ? 'active-directory' : 'inetorgperson'),
  }));

/** The life of this hub's accounts on edges; docs/credentials.md says what the numbers mean to each other. */
const credentialsTable = z
  .strictObject({
    lifetime: duration('30d'),
    successor_before: duration('7d'),
    effective_before: duration('3d'),
    /** Longest time between two looks at an edge where something is under way. */
    cycle: duration('5min'),
  })
  .superRefine((table, context) => {
    try {
      checkTimings(renewalTimings(table));
    } catch (error) {
      if (!isPosternError(error)) throw error;
      context.addIssue({ code: 'custom', message: error.message });
    }
  });

export const hubConfigSchema = z.strictObject({
  name: serverName,
  fqdn,
  site: serverName.default('Default-Site'),
  /** Folder of the configuration directory, the mirror, the trust store and the control socket. */
  data: z.string().startsWith('/', 'an absolute path').default('/var/lib/postern/hub'),
  identity: certificateTable.optional(),
  rollover: rolloverTable.prefault({}),
  source: sourceTable.optional(),
  /** Several hubs share one configuration directory: somebody's LDAP server. One hub alone has its own. */
  configuration: configurationTable.optional(),
  schedule: z
    .strictObject({
      configuration: duration('3min'),
      recipients: duration('5min'),
      topology: duration('5min'),
      /** How often a shared configuration directory is asked whether another hub has changed it. */
      site: duration('10s'),
    })
    .prefault({}),
  lease: z
    .strictObject({
      lock: duration('6min'),
      renew_below: duration('4min'),
    })
    .prefault({}),
  credentials: credentialsTable.prefault({}),
  log: logTable.prefault({}),
});

function needPasswordFile(
  table: { readonly bind_dn: string; readonly password_file?: string | undefined },
  context: z.RefinementCtx,
): void {
  if (table.bind_dn !== '' && table.password_file === undefined)
    context.addIssue({ code: 'custom', path: ['password_file'], message: 'bind_dn needs a password_file' });
}

/** How many recoveries there are, and after how long a silence, is the edges' business: here stands what they have unless told. */
export function renewalTimings(
  table: Pick<
    z.infer<typeof credentialsTable>,
    'lifetime' | 'successor_before' | 'effective_before' | 'cycle'
  >,
): RenewalTimings {
  return {
    ...DEFAULT_TIMINGS,
    lifetimeMs: table.lifetime,
    successorBeforeMs: table.successor_before,
    effectiveBeforeMs: table.effective_before,
    cycleMs: table.cycle,
  };
}

export type HubConfig = z.infer<typeof hubConfigSchema>;
export type ServerTable = z.infer<z.ZodObject<typeof serverShape>>;
export type ConfigurationTable = z.infer<typeof configurationTable>;
export type SourceConfig = z.infer<typeof sourceTable>;
