/** `ipsec.toml`: the schema of this host's IPsec policy. Defaults stand here and nowhere else; what addresses and ports mean is judged in `src/ipsec/policy`. */
import { z } from 'zod';
import { certificateTable, duration, fqdn, logTable } from './field.ts';

const absolute = z.string().startsWith('/', 'an absolute path');
const addresses = z.array(z.string()).min(1, 'at least one address').max(2);
const protect = z.array(z.string()).max(1000);

/** An address of a service that moves between nodes; each node has its own key for it. */
const virtualServerTable = z.strictObject({
  name: fqdn,
  addresses,
  /** Unless told, what the node protects. */
  protect: protect.optional(),
});

/** The other side, written by hand instead of imported with `postern ipsec peer import`. */
const peerTable = z.strictObject({
  name: fqdn,
  addresses,
  /** PEM files: one for each key that may answer under this name. */
  certificates: z.array(absolute).min(1, 'at least one certificate').max(16),
  /** On a front-end: what is protected towards this back-end. */
  protect: protect.optional(),
});

export const ipsecConfigSchema = z.strictObject({
  role: z.enum(['front-end', 'back-end']),
  /** How far it goes. `observe` counts clear text, `traps` protects what both sides protect, `guarded` also drops what is not protected. */
  stage: z.enum(['observe', 'traps', 'guarded']).default('guarded'),
  /** This node's name, and its identity towards peers. */
  name: fqdn,
  /** This node's own address: at most one of each family. */
  addresses,
  /** On a back-end: presets and ports, towards every peer. */
  protect: protect.default([]),
  virtual_server: z.array(virtualServerTable).max(100).default([]),
  peer: z.array(peerTable).max(10_000).default([]),
  /** Keys, certificates and imported peers. */
  data: absolute.default('/var/lib/postern/ipsec'),
  /** Configuration of the edge or hub on this machine: its identity vouches for this node's certificates, its subscriptions for those of peers. */
  subscription: absolute.optional(),
  /** Somebody else's key and certificate as this node's identity, unless there is a subscription. */
  identity: certificateTable.optional(),
  /** All of it through UDP port 4500. */
  single_port: z.boolean().default(false),
  proposals: z.enum(['modern', 'compat']).default('modern'),
  /** How soon a silent peer is given up: about 2, 7 and 165 seconds. */
  recovery: z.enum(['fast', 'balanced', 'patient']).default('balanced'),
  guard: z
    .strictObject({
      mechanism: z.enum(['auto', 'nft', 'xfrm']).default('auto'),
      /** On a back-end: networks that may reach protected ports in clear text. */
      clear_from: z.array(z.string()).max(1000).default([]),
      /** Ports of the management shell, which "everything" leaves alone. */
      ssh_ports: z.array(z.int().min(1).max(65_535)).max(8).default([22]),
    })
    .prefault({}),
  apply: z
    .strictObject({
      /** Unconfirmed changes are taken back after this long. */
      rollback_after: duration('60s'),
      /** What is confirmed. */
      state_folder: absolute.default('/etc/postern/ipsec'),
      /** What is being tried; must be empty after a reboot. */
      run_folder: absolute.default('/run/postern/ipsec'),
    })
    .prefault({}),
  charon: z
    .strictObject({
      socket: absolute.default('/run/charon.vici'),
    })
    .prefault({}),
  log: logTable.prefault({}),
});

export type IpsecConfig = z.infer<typeof ipsecConfigSchema>;
