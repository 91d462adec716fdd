/** `postern ipsec peer export|import|list|remove`: what one side tells the other of itself, so that nothing is configured twice. */
import { readFile, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { buildCommand, buildRouteMap } from '@stricli/core';
import { formatAge } from '../../base/duration.ts';
import { PosternError } from '../../base/error.ts';
import { systemFiles } from '../../base/files.ts';
import { pemOf } from '../../certificate/pem.ts';
import { formatFingerprint, parsePin } from '../../certificate/pin.ts';
import { writePeerFile } from '../../ipsec/peer/peer-file.ts';
import { importPeer, readPeers, removePeer } from '../../ipsec/peer/peer-folder.ts';
import { type Context, guarded, print } from '../context.ts';
import { argument } from '../flags.ts';
import { type IpsecFlags, ipsecFlags, ipsecHost } from '../ipsec-context.ts';
import { formatTable } from '../table.ts';

const aliases = { c: 'config', j: 'json' } as const;

const exportCommand = buildCommand({
  docs: {
    brief: 'Write what the other side needs to know of this node: addresses, certificates, what is protected',
    fullDescription:
      'Makes the certificates that are missing, one for this node and one for each virtual server. The file holds no secret, and is signed by this node: carry it to the other side in any way, and compare the fingerprint there. FILE may be - for standard output.',
  },
  parameters: { flags: ipsecFlags, aliases, positional: argument('FILE', 'File to write') },
  func(this: Context, flags: IpsecFlags, file: string) {
    return guarded(this, async () => {
      const host = ipsecHost(this, flags.config);
      const { config } = host;
      const identity = await host.identity();
      const certificates = await host.makeCertificates();
      const charon = await host.charonVersion().catch(() => undefined);
      const protects = (own: readonly string[] | undefined): string[] => [...(own ?? config.protect)];
      const text = writePeerFile(identity, {
        node: config.name,
        role: config.role,
        issuedAt: this.clock.now(),
        singlePort: config.single_port,
        ...(charon === undefined ? {} : { charon }),
        parties: [
          { name: config.name, addresses: config.addresses, protect: undefined },
          ...config.virtual_server,
        ].map(({ name, addresses, protect }) => ({
          id: name,
          addresses,
          certificate: pemOf('CERTIFICATE', certificates.get(name)?.certificate.der ?? new Uint8Array()),
          protect: protects(protect),
        })),
      });
      const fingerprint = formatFingerprint(identity.pin);
      if (file === '-') this.process.stdout.write(text);
      else {
        await writeFile(resolve(this.cwd, file), text, { mode: 0o644 }).catch((cause: unknown) => {
          throw new PosternError('file.unwritable', `cannot write ${file}`, {
            cause,
            hint: 'choose another place',
          });
        });
        print(
          this,
          flags.json,
          { file, node: config.name, fingerprint },
          () => `${file} speaks for ${[...certificates.keys()].join(', ')}\nfingerprint  ${fingerprint}`,
        );
      }
      this.process.stderr.write(
        `next, on the other side: postern ipsec peer import ${file} --expect-fingerprint '${fingerprint}'\n`,
      );
    });
  },
});

interface ImportFlags extends IpsecFlags {
  readonly expectFingerprint?: string;
}

const importCommand = buildCommand({
  docs: {
    brief: 'Take in the file of a node of the other side',
    fullDescription:
      'The key that signed it must be known: from a subscription of this machine, from an earlier file of that node, or by its fingerprint, compared by you. Nothing is in force before "postern ipsec apply".',
  },
  parameters: {
    flags: {
      ...ipsecFlags,
      expectFingerprint: {
        kind: 'parsed',
        parse: String,
        optional: true,
        placeholder: 'HEX',
        brief: 'The fingerprint that the other side showed',
      },
    },
    aliases,
    positional: argument('FILE', 'File of "postern ipsec peer export"'),
  },
  func(this: Context, flags: ImportFlags, file: string) {
    return guarded(this, async () => {
      const host = ipsecHost(this, flags.config);
      const bytes = await readFile(resolve(this.cwd, file)).catch((cause: unknown) => {
        throw new PosternError('file.unreadable', `cannot read ${file}`, {
          cause,
          hint: 'check the name of the file',
        });
      });
      const {
        node,
        pin,
        file: peer,
      } = await importPeer(bytes, file, {
        files: systemFiles,
        folder: host.config.data,
        role: host.config.role,
        name: host.config.name,
        now: this.clock.now(),
        trusted: (name) => host.trustedPins(name),
        ...(flags.expectFingerprint === undefined ? {} : { expected: parsePin(flags.expectFingerprint) }),
      });
      const ids = peer.content.parties.map(({ id }) => id);
      print(
        this,
        flags.json,
        { node, fingerprint: formatFingerprint(pin), ids },
        () => `${node} is known; it speaks for ${ids.join(', ')}`,
      );
      this.process.stderr.write('next: postern ipsec plan, then postern ipsec apply\n');
    });
  },
});

const list = buildCommand({
  docs: { brief: 'List the imported peers' },
  parameters: { flags: ipsecFlags, aliases },
  func(this: Context, flags: IpsecFlags) {
    return guarded(this, async () => {
      const peers = await readPeers(systemFiles, ipsecHost(this, flags.config).config.data);
      const documents = peers.map(({ node, pin, importedAt, file: { content } }) => ({
        node,
        role: content.role,
        fingerprint: formatFingerprint(pin),
        importedAt,
        parties: content.parties.map(({ id, addresses, protect }) => ({ id, addresses, protect })),
      }));
      print(this, flags.json, documents, () =>
        documents.length === 0
          ? 'no peer is imported'
          : formatTable(
              ['node', 'id', 'addresses', 'protects', 'imported'],
              documents.flatMap(({ node, importedAt, parties }) =>
                parties.map(({ id, addresses, protect }) => [
                  node,
                  id,
                  addresses.join(', '),
                  protect.join(', ') || '-',
                  formatAge(importedAt, this.clock.now()),
                ]),
              ),
            ),
      );
    });
  },
});

const remove = buildCommand({
  docs: { brief: 'Forget an imported peer; its connections go with the next "postern ipsec apply"' },
  parameters: { flags: ipsecFlags, aliases, positional: argument('NODE', 'Name of the node') },
  func(this: Context, flags: IpsecFlags, node: string) {
    return guarded(this, async () => {
      if (!(await removePeer(systemFiles, ipsecHost(this, flags.config).config.data, node)))
        throw new PosternError('not-found', `no peer ${node} is imported`, {
          hint: 'postern ipsec peer list names them',
        });
      print(this, flags.json, { removed: node }, () => `${node} is forgotten; next: postern ipsec apply`);
    });
  },
});

export const peerRoutes = buildRouteMap({
  docs: { brief: 'Nodes of the other side' },
  routes: { export: exportCommand, import: importCommand, list, remove },
});
