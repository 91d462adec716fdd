/**
 * What the edge's trust store holds for the credential service: accounts, the hubs that are admitted with their pins, and the address key.
 * The schema is the document's; `subscription/trust-state.ts` puts it beside the other parts.
 */
import { z } from 'zod';
import { peerPinsSchema } from '../certificate/peer-pins.ts';
import { pinSchema } from '../certificate/pin.ts';
import { bytesField, secretField } from '../certificate/trust-schema.ts';
import { type Account } from './account.ts';
import { nameKey } from './account-name.ts';
import type { EdgePair } from './lifecycle/edge-pair.ts';

/** Unix milliseconds. */
export const timeField = z.int().min(0);

export const accountSchema = z.strictObject({
  name: z.string(),
  kind: z.enum(['bootstrap', 'esra']),
  hub: z.string().optional(),
  pin: pinSchema.optional(),
  password: z.strictObject({ salt: z.string(), digest: z.string() }),
  state: z.enum(['active', 'suspended']),
  recordId: z.string().optional(),
  effectiveAt: timeField,
  expiresAt: timeField,
  by: z.enum(['record', 'request']).optional(),
  proved: z.boolean().optional(),
}) satisfies z.ZodType<Account>;

/**
 * What the edge remembers of its pair with one hub, beside the accounts: `EdgePair` without them (`edge-pairs.ts` puts the two together). Kept under
 * `nameKey(hub)`; a hub without one has called for the first time, or was admitted by an earlier version.
 */
export const storedPairSchema = z.strictObject({
  phase: z.enum(['active', 'suspended', 'ended']),
  highest: z.int().min(-1),
  floor: z.int().min(-1),
  recoveries: z.int().min(0),
  allowed: z.boolean(),
  instance: z.strictObject({ id: z.string(), counter: z.int().min(0) }).optional(),
  former: z.array(z.string()),
  contender: z.string().optional(),
  heardAt: timeField,
  needsFresh: z.boolean(),
  fresh: z.int().min(0).optional(),
  /** When the hub was found to run on a restored backup; until its next ordinary renewal. For the status. */
  restoredAt: timeField.optional(),
}) satisfies z.ZodType<Partial<EdgePair>>;
export type StoredPair = z.infer<typeof storedPairSchema>;

/** A hub that this edge trusts. Kept under `nameKey(name)`. */
export const admittedHubSchema = z.strictObject({
  name: z.string(),
  fqdn: z.string(),
  pins: peerPinsSchema,
  /** DER: of the key that it shows. */
  certificate: bytesField,
  /** Of the key that it has announced. */
  nextCertificate: bytesField.optional(),
  admittedAt: timeField,
  /** `bootstrap`: it presented the subscription file; `endorsed`: an admitted hub vouched for it. */
  admittedBy: z.enum(['bootstrap', 'endorsed']),
});
export type AdmittedHub = z.infer<typeof admittedHubSchema>;

export const storedAddressKeySchema = z.strictObject({
  /** Lower-case hex; derived from the key. */
  id: z.string(),
  key: secretField,
  createdAt: timeField,
  /** SHA-256 (hex) of the record that brought it. */
  recordId: z.string(),
});
export type StoredAddressKey = z.infer<typeof storedAddressKeySchema>;

export const credentialStateShape = {
  accounts: z.array(accountSchema),
  hubs: z.record(z.string(), admittedHubSchema),
  pairs: z.record(z.string(), storedPairSchema).default({}),
  /** Pins of hubs that were removed from the site, and when: what was said of them before does not let them in again. */
  removedHubs: z.record(pinSchema, timeField).default({}),
  addressKey: storedAddressKeySchema.optional(),
};

export interface CredentialState {
  accounts: Account[];
  hubs: Record<string, AdmittedHub>;
  pairs?: Record<string, StoredPair>;
  removedHubs?: Record<string, number>;
  addressKey?: StoredAddressKey | undefined;
}

export function findAccount(accounts: readonly Account[], name: string): Account | undefined {
  const key = nameKey(name);
  return accounts.find((account) => nameKey(account.name) === key);
}

export function bootstrapAccount(accounts: readonly Account[]): Account | undefined {
  return accounts.find((account) => account.kind === 'bootstrap');
}

export function findHub(hubs: Readonly<Record<string, AdmittedHub>>, name: string): AdmittedHub | undefined {
  const key = nameKey(name);
  return Object.hasOwn(hubs, key) ? hubs[key] : undefined;
}
