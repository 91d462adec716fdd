import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemFiles } from '../../base/files.ts';
import { systemRandom } from '../../base/random.ts';
import { createIdentity, type Identity } from '../../certificate/identity.ts';
import { pemOf } from '../../certificate/pem.ts';
import { buildPolicy } from '../policy/policy.ts';
import { ipsecConfigSchema } from '../../config/ipsec-config.ts';
import { parseConfig } from '../../config/load.ts';
import { makeOwnCertificates, readOwnCertificates } from './own-certificates.ts';
import { type PeerContent, readPeerFile, writePeerFile } from './peer-file.ts';
import {
  type ImportOptions,
  importedDescriptions,
  importPeer,
  readPeers,
  removePeer,
} from './peer-folder.ts';

const NOW = Date.UTC(2026, 10, 22);
const clock = { now: () => NOW };
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-peer-'));
});
afterEach(() => rm(folder, { recursive: true }));

const newNode = (name: string): Promise<Identity> => createIdentity(name, { clock, random: systemRandom });

async function content(
  node: string,
  change: Partial<PeerContent> = {},
  ids = [node, 'mail.example.org'],
): Promise<PeerContent> {
  const parties = await Promise.all(
    ids.map(async (id, index) => ({
      id,
      addresses: [`192.0.2.${50 + index}`],
      certificate: pemOf('CERTIFICATE', (await newNode(id)).certificate.der),
      protect: ['passwords'],
    })),
  );
  return { node, role: 'back-end', issuedAt: NOW, singlePort: false, parties, ...change };
}

const options = (change: Partial<ImportOptions> = {}): ImportOptions => ({
  files: systemFiles,
  folder,
  role: 'front-end',
  name: 'edge1.example.org',
  now: NOW,
  trusted: () => Promise.resolve([]),
  ...change,
});
const take = (text: string, change: Partial<ImportOptions> = {}): Promise<unknown> =>
  importPeer(Buffer.from(text), 'a.peer', options(change));

describe("a peer's file", () => {
  it('is refused until somebody vouches for its key: a fingerprint, a subscription, an earlier file', async () => {
    const identity = await newNode('node1.example.org');
    const text = writePeerFile(identity, await content('node1.example.org'));
    await expect(take(text)).rejects.toMatchObject({
      code: 'ipsec.peer',
      hint: expect.stringContaining('--expect-fingerprint') as string,
    });
    expect(await readPeers(systemFiles, folder)).toEqual([]);
    await take(text, {
      trusted: (node) => Promise.resolve(node === 'node1.example.org' ? [identity.pin] : []),
    });
    const later = writePeerFile(identity, await content('node1.example.org', { issuedAt: NOW + 1 }));
    await take(later);
    await expect(take(text)).rejects.toThrow(/older than what is known/);
    expect((await readPeers(systemFiles, folder)).map(({ node }) => node)).toEqual(['node1.example.org']);
  });

  it('of another key under a known name is refused, and taken when its fingerprint was compared', async () => {
    const [first, rogue] = [await newNode('node1.example.org'), await newNode('node1.example.org')];
    await take(writePeerFile(first, await content('node1.example.org')), { expected: first.pin });
    const text = writePeerFile(rogue, await content('node1.example.org', { issuedAt: NOW + 5 }));
    await expect(take(text)).rejects.toThrow(/nobody vouches/);
    await expect(take(text, { expected: first.pin })).rejects.toThrow(/nobody vouches/);
    await take(text, { expected: rogue.pin });
    expect((await readPeers(systemFiles, folder))[0]?.pin).toBe(rogue.pin);
  });

  it('is no file that was altered anywhere', async () => {
    const text = writePeerFile(await newNode('node1.example.org'), await content('node1.example.org'));
    expect(readPeerFile(Buffer.from(text), 'a').content.node).toBe('node1.example.org');
    for (const [was, is] of [
      ['192.0.2.50', '192.0.2.66'],
      ['passwords', 'streams'],
      ['back-end', 'front-end'],
      ['"issuedAt": ', '"issuedAt": 1'],
    ] as const)
      expect(() => readPeerFile(Buffer.from(text.replace(was, is)), 'a')).toThrow(/was altered/);
    for (const junk of ['', '{', '[]', '{"postern-ipsec-peer":2}', text.slice(0, -40)])
      expect(() => readPeerFile(Buffer.from(junk), 'a')).toThrow(/is no file of/);
    expect(() => readPeerFile(Buffer.alloc(600_000), 'a')).toThrow(/larger than/);
  });

  it('comes from the other role, and speaks for no other node', async () => {
    const [one, two] = [await newNode('node1.example.org'), await newNode('node2.example.org')];
    const text = writePeerFile(one, await content('node1.example.org'));
    await expect(take(text, { role: 'back-end', expected: one.pin })).rejects.toThrow(
      /comes from a back-end, and this is one too/,
    );
    await expect(take(text, { name: 'node1.example.org', expected: one.pin })).rejects.toThrow(
      /is this node's own/,
    );
    await take(text, { expected: one.pin });
    const stolen = writePeerFile(
      two,
      await content('node2.example.org', {}, ['node2.example.org', 'node1.example.org']),
    );
    await expect(take(stolen, { expected: two.pin })).rejects.toThrow(
      /speaks for node1\.example\.org, which is another node/,
    );
  });

  it('of two nodes of a virtual server makes one peer with two keys', async () => {
    const config = parseConfig(
      ipsecConfigSchema,
      'role = "front-end"\nname = "edge1.example.org"\naddresses = ["192.0.2.10"]',
      'x',
    );
    for (const [index, name] of ['node1.example.org', 'node2.example.org'].entries()) {
      const identity = await newNode(name);
      const made = await content(name);
      const parties = made.parties.map((party) =>
        party.id === name ? { ...party, addresses: [`192.0.2.${21 + index}`] } : party,
      );
      await take(writePeerFile(identity, { ...made, parties }), { expected: identity.pin });
    }
    const own = await makeOwnCertificates({ files: systemFiles, clock, random: systemRandom, folder }, [
      'edge1.example.org',
    ]);
    const certificates = new Map([...own].map(([id, { certificate }]) => [id, certificate]));
    const peers = importedDescriptions(await readPeers(systemFiles, folder));
    const { links } = buildPolicy({ config, certificates, peers, now: NOW }, 'x');
    expect(links.map(({ peer }) => [peer.id, peer.certificates.length])).toEqual([
      ['node1.example.org', 1],
      ['mail.example.org', 2],
      ['node2.example.org', 1],
    ]);
    expect(await removePeer(systemFiles, folder, 'node2.example.org')).toBe(true);
    expect(await removePeer(systemFiles, folder, '../keys')).toBe(false);
    expect(await readPeers(systemFiles, folder)).toHaveLength(1);
  });

  it('that was altered in the folder is not used', async () => {
    const identity = await newNode('node1.example.org');
    await take(writePeerFile(identity, await content('node1.example.org')), { expected: identity.pin });
    await writeFile(join(folder, 'peers', 'node1.example.org.json'), '{}');
    await expect(readPeers(systemFiles, folder)).rejects.toMatchObject({ code: 'ipsec.peer' });
  });
});

describe('own certificates', () => {
  it('are made once for each identity, for twenty years', async () => {
    const parts = { files: systemFiles, clock, random: systemRandom, folder };
    const ids = ['node1.example.org', 'mail.example.org'];
    expect((await readOwnCertificates(parts, ids)).size).toBe(0);
    const made = await makeOwnCertificates(parts, ids);
    const again = await makeOwnCertificates(parts, [...ids, 'other.example.org']);
    expect(ids.map((id) => again.get(id)?.pin)).toEqual(ids.map((id) => made.get(id)?.pin));
    expect(made.get('mail.example.org')?.certificate).toMatchObject({
      names: ['mail.example.org'],
      selfIssued: true,
    });
    expect((made.get('mail.example.org')?.certificate.notAfter ?? 0) - NOW).toBe(7300 * 86_400_000);
  });
});
