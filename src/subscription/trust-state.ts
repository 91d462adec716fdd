/**
 * The documents of the two trust stores: what an edge and a hub must not lose. Apart from the data, so that losing the data means a first load again,
 * never a new subscription. Schemas and small pure helpers; `certificate/trust-store.ts` keeps them on disk.
 */
import { z } from 'zod';
import { peerPinsSchema } from '../certificate/peer-pins.ts';
import { pinSchema } from '../certificate/pin.ts';
import { rolloverSchema, STEADY } from '../certificate/rollover/rollover.ts';
import { bytesField, sealingKeyPairField } from '../certificate/trust-schema.ts';
import { nameKey } from '../credential/account-name.ts';
import { credentialStateShape, timeField } from '../credential/credential-state.ts';

export const EDGE_TRUST_STORE = 'edge-trust';
export const HUB_TRUST_STORE = 'hub-trust';
const VERSION = 1;

const identityFileSchema = z.strictObject({
  /** Absolute paths; one file in the folder of the trust store, unless an earlier version left it where the administrator had put it. */
  keyFile: z.string(),
  certificateFile: z.string(),
  pin: pinSchema,
  /** Not of our own making: a next one has to be brought, too. */
  brought: z.boolean().optional(),
});

/** This node: where its identity is, and what it states of itself. */
const nodeShape = {
  version: z.literal(VERSION),
  identity: identityFileSchema,
  /** The announced one, and the one before. */
  nextIdentity: identityFileSchema.optional(),
  formerIdentity: identityFileSchema.optional(),
  rollover: rolloverSchema.default(STEADY),
  /** Statements of successors, the latest last: whoever was away follows them. */
  successions: z.array(bytesField).default([]),
  /** Newest first; old ones stay as long as something may be sealed to them. */
  sealingKeys: z.array(sealingKeyPairField).min(1),
  /** Signed statement of the newest sealing key. */
  sealingStatement: bytesField,
};

/** A file that this node made (edge) or imported (hub): never accepted again. */
const usedSubscriptionSchema = z.strictObject({ id: z.string(), edge: z.string(), at: timeField });

const leaseSchema = z.strictObject({
  /** Only grows. */
  epoch: z.int().min(0),
  holder: z.string(),
  leaseId: bytesField.optional(),
  /** By the edge's wall clock. */
  expiresAt: timeField,
});

/** Removals of the last 24 h by kind (recipients, domains), in slices. */
const removalsSchema = z.record(
  z.string(),
  z.array(z.strictObject({ at: timeField, count: z.int().min(0) })),
);

/** The file whose bootstrap account is in `accounts`; gone when the account is. */
const openSubscriptionSchema = z.strictObject({
  /** SHA-256 (hex) of what its signature covers. */
  id: z.string(),
  createdAt: timeField,
  expiresAt: timeField,
  /** Where it was written, when that is known: to be deleted once it was used. */
  path: z.string().optional(),
  /** The hub it was sealed to. */
  sealedTo: z.strictObject({ hub: z.string(), pin: pinSchema }).optional(),
});
export type OpenSubscription = z.infer<typeof openSubscriptionSchema>;

export const edgeTrustSchema = z.strictObject({
  ...nodeShape,
  role: z.literal('edge'),
  ...credentialStateShape,
  subscription: openSubscriptionSchema.optional(),
  usedSubscriptions: z.array(usedSubscriptionSchema),
  /** A used file that this edge could not delete: named until it is gone. */
  leftFile: z.string().optional(),
  lease: leaseSchema,
  removals: removalsSchema,
});
export type EdgeTrustState = z.infer<typeof edgeTrustSchema>;

/** An edge that this hub imported, or heard of from another hub. Kept under `nameKey(name)`. */
export const subscribedEdgeSchema = z.strictObject({
  name: z.string(),
  fqdn: z.string(),
  port: z.int().min(1).max(65_535),
  pins: peerPinsSchema,
  /** DER: of the key that it shows. */
  certificate: bytesField,
  /** Of the key that it has announced. */
  nextCertificate: bytesField.optional(),
  /** What it states of itself since it has rolled over: for hubs that join. */
  statements: z.array(bytesField).optional(),
  /** From its signed statement. Of two statements the later one counts. */
  sealingKey: bytesField,
  sealingKeyStatedAt: timeField,
  subscriptionId: z.string(),
  importedAt: timeField,
  /** When the edge first accepted this hub's ESRA; until then the bootstrap account is used. */
  establishedAt: timeField.optional(),
  /** Id of the address key; the key itself is sealed to this hub in the configuration directory. */
  addressKeyId: z.string(),
  /** Last number given to an account of this pair. */
  accountNumber: z.int().min(0),
  passwordPolicy: z.strictObject({
    shortest: z.int(),
    longest: z.int(),
    upper: z.int(),
    lower: z.int(),
    digit: z.int(),
    symbol: z.int(),
  }),
});
export type SubscribedEdge = z.infer<typeof subscribedEdgeSchema>;

/** Another hub of the site that this one trusts. Kept under `nameKey(name)`. */
export const peerHubSchema = z.strictObject({
  name: z.string(),
  fqdn: z.string(),
  pin: pinSchema,
  /** Its announced successor, and when that was stated, by its own clock. */
  next: pinSchema.optional(),
  statedAt: timeField.optional(),
  former: pinSchema.optional(),
  admittedAt: timeField,
  /** By the administrator's word at this hub, or by the statement of a hub that is trusted. */
  admittedBy: z.enum(['administrator', 'endorsed']),
});
export type PeerHub = z.infer<typeof peerHubSchema>;

export const hubTrustSchema = z.strictObject({
  ...nodeShape,
  role: z.literal('hub'),
  edges: z.record(z.string(), subscribedEdgeSchema),
  peers: z.record(z.string(), peerHubSchema).default({}),
  /** Pins of hubs that were removed from the site, and when. */
  removedHubs: z.record(pinSchema, timeField).default({}),
  /** This hub's own removals, the latest last: they go to the edges from here, whatever becomes of them in the directory. */
  removalStatements: z.array(bytesField).default([]),
  usedSubscriptions: z.array(usedSubscriptionSchema),
  /** Last account number of edges that were removed: numbers are never used again. */
  retiredNumbers: z.record(z.string(), z.int().min(0)),
});
export type HubTrustState = z.infer<typeof hubTrustSchema>;

export type NodeTrust = Pick<EdgeTrustState, keyof typeof nodeShape>;
type NewNode = Pick<NodeTrust, 'identity' | 'sealingKeys' | 'sealingStatement'>;

export function newEdgeTrust(node: NewNode): EdgeTrustState {
  return {
    version: VERSION,
    role: 'edge',
    ...node,
    rollover: STEADY,
    successions: [],
    accounts: [],
    hubs: {},
    pairs: {},
    removedHubs: {},
    usedSubscriptions: [],
    lease: { epoch: 0, holder: '', expiresAt: 0 },
    removals: {},
  };
}

export function newHubTrust(node: NewNode): HubTrustState {
  return {
    version: VERSION,
    role: 'hub',
    ...node,
    rollover: STEADY,
    successions: [],
    edges: {},
    peers: {},
    removedHubs: {},
    removalStatements: [],
    usedSubscriptions: [],
    retiredNumbers: {},
  };
}

export function findEdge(state: Pick<HubTrustState, 'edges'>, name: string): SubscribedEdge | undefined {
  const key = nameKey(name);
  return Object.hasOwn(state.edges, key) ? state.edges[key] : undefined;
}

/** Remembered ids of used files; older ones have expired long since. */
const MOST_USED = 1000;

export function withUsed<T extends { usedSubscriptions: EdgeTrustState['usedSubscriptions'] }>(
  state: T,
  id: string,
  edge: string,
  at: number,
): T {
  return { ...state, usedSubscriptions: [...state.usedSubscriptions, { id, edge, at }].slice(-MOST_USED) };
}
