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
}) satisfies z.ZodType<Account>;

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
  /** Pins of hubs that were removed from the site, and when: what was said of them before does not let them in again. */
  removedHubs: z.record(pinSchema, timeField).default({}),
  addressKey: storedAddressKeySchema.optional(),
};

export interface CredentialState {
  accounts: Account[];
  hubs: Record<string, AdmittedHub>;
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
