/** `postern subscription create|inspect|import|list|show|remove`: on the edge and on the hub. */
import { realpath, unlink } from 'node:fs/promises';
import { dirname, join, basename, resolve } from 'node:path';
import { buildCommand, buildRouteMap } from '@stricli/core';
import type { SubscriptionDocument } from '../../admin/documents.ts';
import { formatAge, parseDuration } from '../../base/duration.ts';
import { PosternError } from '../../base/error.ts';
import { MOST_FILE_BYTES } from '../../subscription/file.ts';
import { readSubscriptionFile } from '../../subscription/file-reader.ts';
import { describeSubscription, type SubscriptionView, viewSubscription } from '../../subscription/inspect.ts';
import { type Context, configuredDaemons, edgeDaemon, guarded, hubDaemon, print } from '../context.ts';
import { argument, common, commonAliases, type CommonFlags } from '../flags.ts';
import { recoverCommand } from './credential-edge.ts';
import { readBoundedFile, writeSecretFile } from '../secret-file.ts';
import { formatFields, formatTable } from '../table.ts';

interface CreateFlags extends CommonFlags {
  readonly ttl: number;
  readonly sealTo?: string;
}

interface CreateDocument {
  readonly text: string;
  readonly view: SubscriptionView;
  /** Path of an earlier file that is of no use any more. */
  readonly superseded?: string;
}

const create = buildCommand({
  docs: {
    brief: 'On the edge: make the subscription file for a hub to import',
    fullDescription:
      'Makes a bootstrap account and writes the subscription file (mode 0600). Carry the file to a hub of the site, import it there, and see that no copy stays behind: unless it is sealed, it holds a password in clear text. A new file makes an earlier one worthless.',
  },
  parameters: {
    flags: {
      ...common,
      ttl: {
        kind: 'parsed',
        parse: parseDuration,
        default: '24h',
        brief: 'How long the file can be imported; at least 2min',
      },
      sealTo: {
        kind: 'parsed',
        parse: String,
        optional: true,
        placeholder: 'HUB.PUB',
        brief: 'Seal the password to the hub whose key is in this file (from "postern hub key")',
      },
    },
    aliases: commonAliases,
    positional: argument('FILE', 'Subscription file to write; must not exist'),
  },
  func(this: Context, flags: CreateFlags, file: string) {
    return guarded(this, async () => {
      const path = join(await existingFolder(this, file), basename(file));
      const hubKey =
        flags.sealTo === undefined
          ? undefined
          : (await readBoundedFile(resolve(this.cwd, flags.sealTo), MOST_FILE_BYTES)).toString('utf8');
      const daemon = edgeDaemon(this, flags.config);
      // An earlier file is of no use from the moment the edge makes another.
      const result = await writeSecretFile(path, () =>
        daemon.call<CreateDocument>('POST', '/v1/subscription', {
          path,
          ttlMs: flags.ttl,
          ...(hubKey === undefined ? {} : { hubKey }),
        }),
      );
      print(this, flags.json, { file: path, ...result.view }, () =>
        formatFields(describeSubscription(result.view, this.clock.now())),
      );
      if (result.superseded !== undefined)
        this.process.stderr.write(
          `an earlier file, ${result.superseded}, is of no use any more: delete its copies\n`,
        );
      if (hubKey === undefined)
        this.process.stderr.write(
          'the file holds a password in clear text: carry it safely, and delete every copy after the import\n',
        );
      this.process.stderr.write(
        `next, on a hub: postern subscription import ${basename(file)} --expect-fingerprint '${result.view.fingerprint}'\n`,
      );
    });
  },
});

async function existingFolder(context: Context, file: string): Promise<string> {
  const folder = dirname(resolve(context.cwd, file));
  try {
    return await realpath(folder);
  } catch (cause) {
    throw new PosternError('file.unwritable', `there is no folder ${folder}`, {
      cause,
      hint: 'make the folder first, or choose another',
    });
  }
}

const inspect = buildCommand({
  docs: { brief: 'Show what a subscription file says, without its secrets; needs no daemon' },
  parameters: { flags: { json: common.json }, positional: argument('FILE', 'Subscription file') },
  func(this: Context, flags: { readonly json: boolean }, file: string) {
    return guarded(this, async () => {
      const bytes = await readBoundedFile(resolve(this.cwd, file), MOST_FILE_BYTES);
      const view = viewSubscription(readSubscriptionFile(bytes), this.clock.now());
      print(this, flags.json, view, () => formatFields(describeSubscription(view, this.clock.now())));
    });
  },
});

interface ImportFlags extends CommonFlags {
  readonly expectFingerprint?: string;
  readonly keep: boolean;
}

const importCommand = buildCommand({
  docs: { brief: 'On a hub: subscribe the edge that a file describes' },
  parameters: {
    flags: {
      ...common,
      expectFingerprint: {
        kind: 'parsed',
        parse: String,
        optional: true,
        placeholder: 'HEX',
        brief: "Refuse the file unless the edge's key has this fingerprint",
      },
      keep: { kind: 'boolean', default: false, brief: 'Do not delete the file after the import' },
    },
    aliases: commonAliases,
    positional: argument('FILE', 'Subscription file'),
  },
  func(this: Context, flags: ImportFlags, file: string) {
    return guarded(this, async () => {
      const path = resolve(this.cwd, file);
      const bytes = await readBoundedFile(path, MOST_FILE_BYTES);
      const body = {
        file: bytes.toString('base64'),
        ...(flags.expectFingerprint === undefined ? {} : { expectFingerprint: flags.expectFingerprint }),
      };
      const { warnings, ...document } = await hubDaemon(this, flags.config).call<
        SubscriptionDocument & { readonly warnings: readonly string[] }
      >('POST', '/v1/subscriptions', body);
      for (const warning of warnings) this.process.stderr.write(`warning: ${warning}\n`);
      if (!flags.keep)
        await unlink(path).catch(() =>
          this.process.stderr.write(`could not delete ${path}: delete it by hand, it may hold a password\n`),
        );
      print(
        this,
        flags.json,
        document,
        () =>
          `${document.edge} (${document.fqdn}, port ${document.port}) is subscribed; the first load has begun.\nfollow it with: postern sync run`,
      );
    });
  },
});

const list = buildCommand({
  docs: { brief: 'On a hub: list the subscribed edges' },
  parameters: { flags: common, aliases: commonAliases },
  func(this: Context, flags: CommonFlags) {
    return guarded(this, async () => {
      const documents = await hubDaemon(this, flags.config).call<SubscriptionDocument[]>(
        'GET',
        '/v1/subscriptions',
      );
      print(this, flags.json, documents, () =>
        documents.length === 0
          ? 'no edge is subscribed; make a file on the edge with "postern subscription create FILE" and import it here'
          : formatTable(
              ['edge', 'address', 'phase', 'account', 'expires'],
              documents.map((d) => [
                d.edge,
                `${d.fqdn}:${d.port}`,
                d.phase,
                d.account,
                formatAge(d.expires, this.clock.now()),
              ]),
            ),
      );
    });
  },
});

const show = buildCommand({
  docs: { brief: 'Show one subscription; on the edge itself, its own' },
  parameters: {
    flags: common,
    aliases: commonAliases,
    positional: {
      kind: 'tuple',
      parameters: [
        { parse: String, placeholder: 'EDGE', brief: 'Name of the edge (on a hub)', optional: true },
      ],
    },
  },
  func(this: Context, flags: CommonFlags, edge?: string) {
    return guarded(this, async () => {
      const [daemon] = configuredDaemons(this, flags.config);
      if (daemon === undefined) return;
      if (daemon.role === 'hub' && edge === undefined)
        throw new PosternError('usage', 'which edge?', { hint: 'postern subscription list names them' });
      const path =
        daemon.role === 'edge' ? '/v1/subscription' : `/v1/subscriptions/${encodeURIComponent(edge ?? '')}`;
      const document = await daemon.client.call<Record<string, unknown>>('GET', path);
      print(this, flags.json, document, () =>
        formatFields(
          Object.entries(document).map(([name, value]) => [
            LABELS[name] ?? name,
            describe(name, value, this.clock.now()),
          ]),
        ),
      );
    });
  },
});

const LABELS: Readonly<Record<string, string>> = { openFile: 'open file', importedAt: 'imported' };

function describe(name: string, value: unknown, now: number): string {
  if (typeof value === 'number' && /At$|^expires$|^effective$/.test(name))
    return `${new Date(value).toISOString()} (${formatAge(value, now)})`;
  if (Array.isArray(value))
    return value.map((item) => (typeof item === 'string' ? item : JSON.stringify(item))).join('\n') || '-';
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : JSON.stringify(value);
}

const remove = buildCommand({
  docs: { brief: 'End a subscription: on the hub for one edge, on the edge for itself' },
  parameters: {
    flags: {
      ...common,
      keepData: {
        kind: 'boolean',
        default: false,
        brief: 'On the edge: keep recipients and domains, and go on answering',
      },
    },
    aliases: commonAliases,
    positional: {
      kind: 'tuple',
      parameters: [
        { parse: String, placeholder: 'EDGE', brief: 'Name of the edge (on a hub)', optional: true },
      ],
    },
  },
  func(this: Context, flags: CommonFlags & { readonly keepData: boolean }, edge?: string) {
    return guarded(this, async () => {
      const [daemon] = configuredDaemons(this, flags.config);
      if (daemon === undefined) return;
      if (daemon.role === 'hub' && edge === undefined)
        throw new PosternError('usage', 'which edge?', { hint: 'postern subscription list names them' });
      const path =
        daemon.role === 'edge'
          ? `/v1/subscription?keepData=${String(flags.keepData)}`
          : `/v1/subscriptions/${encodeURIComponent(edge ?? '')}`;
      const document = await daemon.client.call<{ removed: string; note: string }>('DELETE', path);
      print(this, flags.json, document, () => `${document.removed} removed. ${document.note}`);
    });
  },
});

export const subscriptionRoutes = buildRouteMap({
  docs: { brief: 'Edge subscriptions' },
  routes: { create, inspect, import: importCommand, list, show, remove, recover: recoverCommand },
});
