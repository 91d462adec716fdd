/**
 * What we loaded into charon, kept across our own restarts: which pins associations may have been made with, which keys are ours among other
 * people's. Losing it is safe: what is unknown is made anew.
 */
import { z } from 'zod';
import { type Files, replaceFile } from '../../base/files.ts';
import type { Log } from '../../base/log.ts';
import type { LoadedRecord } from './connection-message.ts';

export interface Memory {
  readonly connections: Readonly<Record<string, LoadedRecord>>;
  /** Keys that were not there before we loaded them. */
  readonly keys: readonly string[];
  /** Pairs of addresses that we protected at any time: where leftovers in the kernel may be ours. */
  readonly pairs: readonly AddressPair[];
}

export interface AddressPair {
  readonly local: string;
  readonly remote: string;
}

export const EMPTY_MEMORY: Memory = { connections: {}, keys: [], pairs: [] };

/** Former pairs that are kept, the latest. */
export const MOST_PAIRS = 50_000;

const schema = z.strictObject({
  format: z.literal(1),
  connections: z.record(
    z.string(),
    z.strictObject({ digest: z.string(), material: z.string(), pins: z.array(z.string()) }),
  ),
  keys: z.array(z.string()),
  pairs: z.array(z.strictObject({ local: z.string(), remote: z.string() })),
});

export async function readMemory(files: Files, path: string, log: Log): Promise<Memory> {
  if (!(await files.exists(path))) return EMPTY_MEMORY;
  try {
    const { format: _, ...memory } = schema.parse(JSON.parse((await files.readFile(path)).toString('utf8')));
    return memory;
  } catch (error) {
    log.warn('what was loaded into charon before is not known: associations are made anew', { path, error });
    return EMPTY_MEMORY;
  }
}

export async function writeMemory(files: Files, path: string, memory: Memory): Promise<void> {
  await replaceFile(files, path, Buffer.from(`${JSON.stringify({ format: 1, ...memory })}\n`));
}
