/** Imported peers: one file a node below the data folder, with the pin by which it was trusted. What comes later from the same node must be signed by the same key, and be newer. */
import { join } from 'node:path';
import { z } from 'zod';
import { PosternError } from '../../base/error.ts';
import { type Files, replaceFile } from '../../base/files.ts';
import { formatFingerprint, type Pin, pinSchema, samePin } from '../../certificate/pin.ts';
import type { PeerDescription, Role } from '../policy/policy.ts';
import { otherRole, type PeerFile, peersOf, readPeerFile, requireTrusted } from './peer-file.ts';

const storedSchema = z.strictObject({
  format: z.literal(1),
  pin: pinSchema,
  importedAt: z.int().min(0),
  /** As it came. */
  file: z.string(),
});

export interface ImportedPeer {
  readonly node: string;
  readonly pin: Pin;
  readonly importedAt: number;
  readonly file: PeerFile;
}

export interface ImportOptions {
  readonly files: Files;
  readonly folder: string;
  /** This node's. */
  readonly role: Role;
  readonly name: string;
  readonly now: number;
  /** Pins that are trusted for the node, beside the one it was imported with before. */
  readonly trusted: (node: string) => Promise<readonly Pin[]>;
  /** The administrator has compared this fingerprint. */
  readonly expected?: Pin;
}

/** Takes a peer in, or what is new of one. Throws `ipsec.peer`. */
export async function importPeer(
  bytes: Uint8Array,
  source: string,
  options: ImportOptions,
): Promise<ImportedPeer> {
  const { files, folder, now, expected } = options;
  const file = readPeerFile(bytes, source);
  const { node, role, parties, issuedAt } = file.content;
  if (role !== otherRole(options.role))
    throw refused(
      `${source} comes from a ${role}, and this is one too`,
      'front-ends import the files of back-ends, and back-ends those of front-ends',
    );
  if (node === options.name) throw refused(`${source} is this node's own`, 'import it on the other side');
  const all = await readPeers(files, folder);
  const known = all.find((peer) => peer.node === node);
  const trusted =
    expected === undefined
      ? [...(known === undefined ? [] : [known.pin]), ...(await options.trusted(node))]
      : [expected];
  requireTrusted(file, trusted);
  if (known !== undefined && samePin(known.pin, file.pin) && known.file.content.issuedAt > issuedAt)
    throw refused(`${source} is older than what is known of ${node}`, 'make it anew on the other side');
  // A virtual server may come from several nodes; a node's own name belongs to it alone.
  for (const { id } of parties) {
    const owner = all.find((peer) => peer.node !== node && peer.node === id);
    if (owner !== undefined)
      throw refused(
        `${source} speaks for ${id}, which is another node (${formatFingerprint(owner.pin).slice(0, 19)}...)`,
        'each node speaks for itself and for its virtual servers',
      );
  }
  peersOf(file, source);
  const stored = { format: 1, pin: file.pin, importedAt: now, file: Buffer.from(bytes).toString('utf8') };
  await files.makeFolder(join(folder, 'peers'));
  await replaceFile(files, join(folder, 'peers', `${node}.json`), Buffer.from(JSON.stringify(stored)));
  return { node, pin: file.pin, importedAt: now, file };
}

/** By name. Throws `ipsec.peer` for a file that was altered since. */
export async function readPeers(files: Files, folder: string): Promise<ImportedPeer[]> {
  const place = join(folder, 'peers');
  if (!(await files.exists(place))) return [];
  const names = (await files.list(place))
    .filter((name) => name.endsWith('.json') && !name.startsWith('.'))
    .sort();
  return Promise.all(names.map((name) => readStored(files, join(place, name))));
}

async function readStored(files: Files, path: string): Promise<ImportedPeer> {
  const text = (await files.readFile(path)).toString('utf8');
  const stored = storedSchema.safeParse(json(text));
  if (!stored.success) throw refused(`${path} is damaged`, 'import the peer again');
  const file = readPeerFile(Buffer.from(stored.data.file), path);
  requireTrusted(file, [stored.data.pin]);
  return { node: file.content.node, pin: stored.data.pin, importedAt: stored.data.importedAt, file };
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Forgets a peer; false when there was none. Its connections go with the next `apply`. */
export async function removePeer(files: Files, folder: string, node: string): Promise<boolean> {
  const path = join(folder, 'peers', `${node}.json`);
  if (!/^[a-z0-9.-]+$/.test(node) || !(await files.exists(path))) return false;
  await files.remove(path);
  await files.syncFolder(join(folder, 'peers'));
  return true;
}

/** All of them as peers of a policy. */
export function importedDescriptions(peers: readonly ImportedPeer[]): PeerDescription[] {
  return peers.flatMap(({ node, file }) => peersOf(file, `the imported file of ${node}`));
}

function refused(message: string, hint: string): PosternError {
  return new PosternError('ipsec.peer', message, { hint });
}
