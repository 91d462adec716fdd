/**
 * This node's certificates for key exchange: for each identity, its own name and every virtual server it may hold, a key that never leaves it and a
 * far-dated self-signed certificate. charon compares whole certificates and refuses expired ones, so they are apart from the node's identity,
 * which vouches for them (`peer-file.ts`).
 */
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import type { Files } from '../../base/files.ts';
import type { Random } from '../../base/random.ts';
import { createIdentity, type Identity, loadIdentity, saveIdentity } from '../../certificate/identity.ts';

/** Twenty years: renewed long before by the administrator's wish, never by an accident of the calendar. */
const VALID_DAYS = 7300;

export interface OwnCertificateParts {
  readonly files: Files;
  readonly clock: Pick<Clock, 'now'>;
  readonly random: Random;
  /** The data folder. */
  readonly folder: string;
}

export function keyFile(folder: string, id: string): string {
  return join(folder, 'keys', `${id}.pem`);
}

/** Those that are there. */
export async function readOwnCertificates(
  { files, folder }: OwnCertificateParts,
  ids: readonly string[],
): Promise<Map<string, Identity>> {
  const found = new Map<string, Identity>();
  for (const id of ids) {
    const path = keyFile(folder, id);
    if (await files.exists(path)) found.set(id, await loadIdentity(files, path));
  }
  return found;
}

/** Makes what is missing. */
export async function makeOwnCertificates(
  parts: OwnCertificateParts,
  ids: readonly string[],
): Promise<Map<string, Identity>> {
  const found = await readOwnCertificates(parts, ids);
  const { files, folder } = parts;
  await files.makeFolder(join(folder, 'keys'));
  for (const id of ids) {
    if (found.has(id)) continue;
    const made = await createIdentity(id, { ...parts, validDays: VALID_DAYS });
    await saveIdentity(files, keyFile(folder, id), made);
    found.set(id, made);
  }
  return found;
}

/** The identity that vouches for the certificates of a node that is neither edge nor hub; made when it is missing. */
export async function nodeIdentity(parts: OwnCertificateParts, name: string): Promise<Identity> {
  const { files, folder } = parts;
  const path = join(folder, 'identity.pem');
  if (await files.exists(path)) return loadIdentity(files, path);
  await files.makeFolder(folder);
  const made = await createIdentity(name, { ...parts, validDays: VALID_DAYS });
  await saveIdentity(files, path, made);
  return made;
}
