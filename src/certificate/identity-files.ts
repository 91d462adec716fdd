/**
 * Where a node keeps its identities: one file each, key and certificates, in the folder of its trust store. The first one of our own making is
 * `identity.pem`; each later one, and each that was brought, is named after its pin, so that no write ever touches a key that is in use.
 */
import { basename, join } from 'node:path';
import { PosternError } from '../base/error.ts';
import type { Files } from '../base/files.ts';
import { type Identity, loadIdentity, saveIdentity } from './identity.ts';
import { formatFingerprint, type Pin, pinBytes } from './pin.ts';

/** As the trust store names it. */
export interface IdentityPlace {
  readonly keyFile: string;
  readonly certificateFile: string;
  readonly pin: Pin;
}

/** Absolute path in `folder`. */
export function identityPath(folder: string, pin: Pin): string {
  return join(folder, `identity-${pinBytes(pin).toString('hex').slice(0, 16)}.pem`);
}

/** Writes an identity under its own name; resolves when it is on the disk. */
export async function keepIdentity(files: Files, folder: string, identity: Identity): Promise<IdentityPlace> {
  const path = identityPath(folder, identity.pin);
  await saveIdentity(files, path, identity);
  return { keyFile: path, certificateFile: path, pin: identity.pin };
}

/** Reads it back. Throws `file.unreadable`, `certificate.invalid`, also when the file holds another key than the store says. */
export async function readIdentity(files: Files, place: IdentityPlace): Promise<Identity> {
  const identity = await loadIdentity(files, place.keyFile, place.certificateFile);
  if (identity.pin === place.pin) return identity;
  throw new PosternError(
    'certificate.invalid',
    `${place.keyFile} holds another key than the one its peers trust`,
    {
      hint: `put the former key back (${place.keyFile}); a new one is brought by "postern cert use"`,
      fields: { trusted: formatFingerprint(place.pin), found: formatFingerprint(identity.pin) },
    },
  );
}

/** Deletes the file of an identity; a missing one is fine. */
export async function deleteIdentity(files: Files, folder: string, place: IdentityPlace): Promise<void> {
  // By its name: the data folder may have moved since the path was written.
  await files.remove(join(folder, basename(place.keyFile)));
  await files.syncFolder(folder);
}
