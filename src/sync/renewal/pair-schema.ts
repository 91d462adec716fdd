/** The document of a pair on the hub's disk, with a check: what does not fit is not believed. */
import { z } from 'zod';
import type { HubPair } from '../../credential/lifecycle/hub-pair.ts';
import type { Lane } from './lanes.ts';

const time = z.int().min(0);
const accountNumber = z.int().min(0);

const generationSchema = z.strictObject({
  number: accountNumber,
  effectiveAt: time,
  expiresAt: time,
  own: z.enum(['planned', 'kept', 'missing']),
  published: z.boolean(),
  installed: z.boolean(),
  confirmed: z.boolean(),
  retiring: z.boolean(),
  gone: z.boolean(),
});

const warning = z.string().optional();

const pairSchema = z.strictObject({
  phase: z.enum(['active', 'suspended', 'leaving', 'ended']),
  instance: z.string().regex(/^[0-9a-f]{32}$/),
  counter: z.int().min(0),
  nextNumber: accountNumber,
  using: accountNumber.optional(),
  fresh: accountNumber.optional(),
  generations: z.array(generationSchema),
  warnings: z.strictObject({
    'clock.skew': warning,
    'credential.unconfirmed': warning,
    'credential.restored': warning,
    'credential.recovered': warning,
    'credential.recovery-waits': warning,
    'credential.recovery-exhausted': warning,
    'credential.two-instances': warning,
    'credential.not-admitted': warning,
  }),
});

const laneSchema = z.strictObject({
  number: accountNumber,
  madeAt: time,
  effectiveAt: time,
  expiresAt: time,
  confirmedAt: time.optional(),
  goneAt: time.optional(),
}) satisfies z.ZodType<Lane>;

const recordSchema = z.strictObject({
  version: z.literal(1),
  edge: z.string(),
  pair: pairSchema,
  lanes: z.array(laneSchema),
});

export interface StoredPair {
  /** Name of the edge. */
  readonly edge: string;
  readonly pair: HubPair;
  readonly lanes: readonly Lane[];
}

export function encodePair(stored: StoredPair): Buffer {
  return Buffer.from(JSON.stringify({ version: 1, ...stored }));
}

/** Undefined for what another version wrote, or nobody. */
export function decodePair(bytes: Uint8Array): StoredPair | undefined {
  let document: unknown;
  try {
    document = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
  const { success, data } = recordSchema.safeParse(document);
  if (!success) return undefined;
  const { edge, lanes, pair } = data;
  const { using, fresh, warnings, ...rest } = pair;
  const present = Object.entries(warnings).filter(([, why]) => why !== undefined);
  return { edge, lanes, pair: { ...rest, using, fresh, warnings: Object.fromEntries(present) } };
}
