/** `edge.toml`: the schema of the edge daemon's configuration. Defaults stand here and nowhere else. */
import { z } from 'zod';
import {
  certificateTable,
  duration,
  fqdn,
  listenAddress,
  localAddress,
  logTable,
  rolloverTable,
  serverName,
} from './field.ts';

export const edgeConfigSchema = z.strictObject({
  /** Short name: the subscription's name inside. */
  name: serverName,
  /** The name under which hubs find this edge by DNS. */
  fqdn,
  /** Folder of the directory, the trust store and the control socket. */
  data: z.string().startsWith('/', 'an absolute path').default('/var/lib/postern/edge'),
  listen: z
    .strictObject({
      /** Secure LDAP for hubs. */
      ldaps: listenAddress.prefault('0.0.0.0:50636'),
      /** The port that hubs reach from inside, when a firewall maps it; written into the subscription file. */
      advertised_port: z.int().min(1).max(65_535).optional(),
      /** Plain LDAP for the local mail server. */
      ldap: z.array(localAddress).prefault(['127.0.0.1:50389']),
      /** Socketmap for the local mail server. */
      socketmap: z.array(localAddress).prefault(['127.0.0.1:50390']),
    })
    .prefault({}),
  identity: certificateTable.optional(),
  rollover: rolloverTable.prefault({}),
  lookup: z
    .strictObject({
      /** After this long without confirmation of the source, unknown becomes "temporarily unable". */
      max_age: duration('21d'),
    })
    .prefault({}),
  directory: z
    .strictObject({
      /** Own schema files, in OpenLDAP's form, read in this order on top of what is built in. */
      schema: z.array(z.string().startsWith('/', 'an absolute path')).max(100).default([]),
    })
    .prefault({}),
  removal_guard: z
    .strictObject({
      /** Most removals in 24 hours. */
      most: z.int().min(0).default(500),
      /** Most removals in 24 hours, in percent of the recipients. */
      percent: z.number().min(0).max(100).default(20),
    })
    .prefault({}),
  recovery: z
    .strictObject({
      /** Recoveries that a hub gets in a row, until it has renewed its credentials in the ordinary way. */
      most: z.int().min(0).max(1000).default(3),
      /** A hub that was not heard for so long may recover although a credential of its has not expired. Not less than the hubs' interval. */
      quiet: duration('5min'),
    })
    .prefault({}),
  password_policy: z
    .strictObject({
      minimum_length: z.int().min(1).max(128).default(32),
      maximum_length: z.int().min(32).max(1024).default(128),
    })
    .prefault({}),
  limits: z
    .strictObject({
      connections: z.int().min(1).default(1000),
      connections_per_source: z.int().min(1).default(100),
      message_bytes: z
        .int()
        .min(65_536)
        .default(4 << 20),
    })
    .prefault({}),
  log: logTable.prefault({}),
});

export type EdgeConfig = z.infer<typeof edgeConfigSchema>;
