/** `postern cert list|show|renew|use|needs-renewal`: this node's certificate, and the keys of its peers. */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { buildCommand, buildRouteMap } from '@stricli/core';
import type { CertificateDocument, OwnCertificate } from '../../admin/certificate-documents.ts';
import { formatAge, parseDuration } from '../../base/duration.ts';
import { PosternError } from '../../base/error.ts';
import { configuredDaemons, type Context, guarded, print } from '../context.ts';
import { EXIT } from '../exit-code.ts';
import { argument, common, commonAliases, type CommonFlags } from '../flags.ts';
import { readBoundedFile } from '../secret-file.ts';
import { formatFields, formatTable, printable } from '../table.ts';

const MOST_PEM_BYTES = 256 * 1024;

async function documents(context: Context, config: string | undefined): Promise<CertificateDocument[]> {
  const found: CertificateDocument[] = [];
  for (const { client } of configuredDaemons(context, config))
    found.push(await client.call<CertificateDocument>('GET', '/v1/certificate'));
  return found;
}

/** For commands that change one node. */
function oneDaemon(context: Context, config: string | undefined) {
  const [daemon, other] = configuredDaemons(context, config);
  if (daemon !== undefined && other === undefined) return daemon.client;
  throw new PosternError('usage', 'an edge and a hub are configured here: whose certificate?', {
    hint: 'name one with --config: /etc/postern/edge.toml or /etc/postern/hub.toml',
  });
}

function printAll(
  context: Context,
  json: boolean,
  found: readonly CertificateDocument[],
  text: (document: CertificateDocument) => string,
): void {
  print(context, json, found.length === 1 ? found[0] : found, () => found.map(text).join('\n\n'));
}

const list = buildCommand({
  docs: { brief: 'List the certificates of this node, and the keys of its peers' },
  parameters: { flags: common, aliases: commonAliases },
  func(this: Context, flags: CommonFlags) {
    return guarded(this, async () => {
      printAll(this, flags.json, await documents(this, flags.config), listText);
    });
  },
});

function listText({ role, name, now, certificates, peers }: CertificateDocument): string {
  const rows = [
    ...certificates.map((one) => [
      `this ${role}, ${name}`,
      one.use,
      ends(one.notAfter, now),
      one.fingerprint,
    ]),
    ...peers.flatMap((peer) => [
      [
        `${peer.role} ${printable(peer.name)}`,
        'present',
        peer.notAfter === undefined ? '-' : ends(peer.notAfter, now),
        peer.fingerprint,
      ],
      ...(peer.next === undefined ? [] : [[`${peer.role} ${printable(peer.name)}`, 'next', '-', peer.next]]),
    ]),
  ];
  return formatTable(['of', 'use', 'ends', 'fingerprint'], rows);
}

const show = buildCommand({
  docs: { brief: 'Show the certificate of this node, and how far its rollover is' },
  parameters: { flags: common, aliases: commonAliases },
  func(this: Context, flags: CommonFlags) {
    return guarded(this, async () => {
      printAll(this, flags.json, await documents(this, flags.config), showText);
    });
  },
});

const ORIGINS: Record<OwnCertificate['origin'], string> = {
  own: 'made here',
  brought: 'brought by "cert use"',
  configured: 'named in the configuration',
};

const PHASES: Record<CertificateDocument['phase'], string> = {
  steady: 'none under way',
  announced: 'announced: the next one is shown when every peer holds its pin',
  switched: 'switched: the former key goes when every peer has accepted the new one',
};

function showText(document: CertificateDocument): string {
  const { now, certificates, phase, until, waitingFor, renewsAt, unusable } = document;
  const blocks = certificates.map((one) =>
    formatFields([
      [one.use, `${document.role} ${document.name}, ${ORIGINS[one.origin]}`],
      ['names', one.names.map(printable).join(', ')],
      ['key', one.algorithm],
      ['fingerprint', one.fingerprint],
      ['begins', date(one.notBefore)],
      ['ends', `${date(one.notAfter)} (${ends(one.notAfter, now)})`],
    ]),
  );
  const rollover = formatFields([
    ['rollover', PHASES[phase]],
    ['waits for', waitingFor.length === 0 ? undefined : waitingFor.map(printable).join(', ')],
    ['at most until', until === undefined ? undefined : `${date(until)} (${formatAge(until, now)})`],
    ['next one', renewsAt === undefined ? undefined : `made ${formatAge(Math.max(renewsAt, now), now)}`],
    ['not used', unusable],
  ]);
  return [...blocks, rollover].join('\n\n');
}

function date(at: number): string {
  return new Date(at).toISOString().slice(0, 16).replace('T', ' ');
}

function ends(at: number, now: number): string {
  return at <= now ? `expired ${formatAge(at, now)}` : formatAge(at, now);
}

const renew = buildCommand({
  docs: {
    brief: 'Make a new key and certificate, and roll over to it',
    fullDescription:
      'The present key goes on until every peer has shown to hold the next one, which takes some minutes; "cert show" says how far it is. Nobody subscribes again.',
  },
  parameters: { flags: common, aliases: commonAliases },
  func(this: Context, flags: CommonFlags) {
    return guarded(this, async () => {
      const document = await oneDaemon(this, flags.config).call<CertificateDocument>(
        'POST',
        '/v1/certificate/renew',
      );
      print(this, flags.json, document, () => showText(document));
    });
  },
});

interface UseFlags extends CommonFlags {
  readonly key: string;
}

const use = buildCommand({
  docs: {
    brief: "Roll over to somebody else's certificate",
    fullDescription:
      'CERTIFICATE is PEM, with the chain of its issuer or without; RSA with 2048 to 4096 bits, P-256, P-384 or Ed25519. The node keeps a copy of both; the key file can go. With the key it has already, only the certificate changes.',
  },
  parameters: {
    flags: {
      ...common,
      key: {
        kind: 'parsed',
        parse: String,
        placeholder: 'FILE',
        brief: 'Its private key, PEM, without a passphrase',
      },
    },
    aliases: commonAliases,
    positional: argument('CERTIFICATE', 'PEM file'),
  },
  func(this: Context, flags: UseFlags, certificate: string) {
    return guarded(this, async () => {
      const daemon = oneDaemon(this, flags.config);
      const keyPath = resolve(this.cwd, flags.key);
      await refuseOpenKey(keyPath);
      const body = {
        certificate: (await readBoundedFile(resolve(this.cwd, certificate), MOST_PEM_BYTES)).toString(
          'latin1',
        ),
        key: (await readBoundedFile(keyPath, MOST_PEM_BYTES)).toString('latin1'),
      };
      const document = await daemon.call<CertificateDocument>('POST', '/v1/certificate/use', body);
      print(this, flags.json, document, () => showText(document));
    });
  },
});

async function refuseOpenKey(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined || (found.mode & 0o007) === 0) return;
  throw new PosternError('file.permissions', `everybody may read the private key in ${path}`, {
    hint: `chmod o= ${path}, and have the key replaced: it may have been read`,
    fields: { path },
  });
}

interface NeedsFlags extends CommonFlags {
  readonly expiresIn?: string;
}

const needsRenewal = buildCommand({
  docs: {
    brief: 'Exit with 0 when the certificate ends soon, with 1 when it does not',
    fullDescription:
      'For scripts: "postern cert needs-renewal && ...". Soon is [rollover] renew_before, or --expires-in. Exit codes: 0 it needs renewal, 1 it does not, 2 usage or configuration, 5 daemon unreachable.',
  },
  parameters: {
    flags: {
      ...common,
      expiresIn: {
        kind: 'parsed',
        parse: String,
        optional: true,
        placeholder: 'DURATION',
        brief: 'What soon means, for example 30d',
      },
    },
    aliases: commonAliases,
  },
  func(this: Context, flags: NeedsFlags) {
    return guarded(this, async () => {
      const found = await documents(this, flags.config);
      const soon = flags.expiresIn === undefined ? undefined : parseDuration(flags.expiresIn);
      const judged = found.map((document) => {
        const present = document.certificates.find((one) => one.use === 'present');
        const notAfter = present?.notAfter ?? 0;
        const needed = document.now >= notAfter - (soon ?? document.renewBeforeMs);
        return { role: document.role, name: document.name, notAfter, needsRenewal: needed };
      });
      print(this, flags.json, judged.length === 1 ? judged[0] : judged, () =>
        judged
          .map(
            ({ role, name, needsRenewal: needed, notAfter }, at) =>
              `${role} ${name}: ${needed ? 'needs renewal' : 'needs no renewal'}, ends ${formatAge(notAfter, found[at]?.now ?? 0)}`,
          )
          .join('\n'),
      );
      return judged.some(({ needsRenewal: needed }) => needed) ? EXIT.ok : EXIT.failed;
    });
  },
});

export const certificateRoutes = buildRouteMap({
  docs: { brief: 'Certificates: what they are, rollover to a new one' },
  routes: { list, show, renew, use, needsRenewal },
});
