/**
 * Two make-believe hosts in one temporary folder: `edge1` and `hub1`, each with a folder that has its configuration, its data and a `postern`
 * that knows them. Nothing is started here.
 *
 *   /tmp/postern-demo-Xy12ab/edge1/{edge.toml,data/,postern}
 *   /tmp/postern-demo-Xy12ab/hub1/{hub.toml,data/,source.password,postern}
 *   /tmp/postern-demo-Xy12ab/organisation/
 */
import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'smol-toml';
import type { Secret } from '../../base/secret.ts';
import { MAIN } from './daemon-process.ts';
import { PEOPLE, READER } from './organisation.ts';

export interface DemoHost {
  readonly name: 'edge1' | 'hub1';
  readonly role: 'edge' | 'hub';
  readonly folder: string;
  readonly data: string;
  readonly configFile: string;
  /** The `postern` of this host: an executable. */
  readonly postern: string;
}

export interface DemoSite extends AsyncDisposable {
  readonly folder: string;
  readonly edge: DemoHost;
  readonly hub: DemoHost;
  readonly ports: { readonly ldaps: number; readonly ldap: number; readonly socketmap: number };
  /** For every process of the demo. */
  readonly environment: Readonly<Record<string, string>>;
  /** Writes the configuration of the hub, once it is known where the source is. */
  configureHub(source: { readonly url: string; readonly password: Secret }): Promise<void>;
}

/** Disposing it removes the folder, and so does the end of this process, unless it is killed. */
export async function createSite(): Promise<DemoSite> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-demo-'));
  const removeAtExit = (): void => rmSync(folder, REMOVE);
  process.once('exit', removeAtExit);
  const remove = async (): Promise<void> => {
    await rm(folder, REMOVE);
    process.off('exit', removeAtExit);
  };
  try {
    return await fillSite(folder, remove);
  } catch (error) {
    await remove();
    throw error;
  }
}

/** A process that was killed may be writing its last file. */
const REMOVE = { recursive: true, force: true, maxRetries: 5, retryDelay: 100 } as const;

async function fillSite(folder: string, remove: () => Promise<void>): Promise<DemoSite> {
  const [ldaps = 0, ldap = 0, socketmap = 0] = await freePorts(3);
  // Types are stripped once for all the processes.
  const given = process.env['NODE_COMPILE_CACHE'] ?? '';
  const environment = { NODE_COMPILE_CACHE: given === '' ? join(folder, 'compile-cache') : given };
  const edge = await makeHost(folder, 'edge1', 'edge', environment);
  const hub = await makeHost(folder, 'hub1', 'hub', environment);
  await writeFile(
    edge.configFile,
    stringify({
      name: edge.name,
      // Names below localhost need no DNS (RFC 6761 §6.3).
      fqdn: `${edge.name}.localhost`,
      data: edge.data,
      listen: {
        ldaps: `127.0.0.1:${ldaps}`,
        ldap: [`127.0.0.1:${ldap}`],
        socketmap: [`127.0.0.1:${socketmap}`],
      },
    }),
  );
  return {
    folder,
    edge,
    hub,
    ports: { ldaps, ldap, socketmap },
    environment,
    async configureHub({ url, password }) {
      const passwordFile = join(hub.folder, 'source.password');
      await writeFile(passwordFile, `${password.revealText()}\n`, { mode: 0o600 });
      const source = { kind: 'openldap', url, base: PEOPLE, bind_dn: READER, password_file: passwordFile };
      const fqdn = `${hub.name}.localhost`;
      await writeFile(hub.configFile, stringify({ name: hub.name, fqdn, data: hub.data, source }));
    },
    [Symbol.asyncDispose]: remove,
  };
}

async function makeHost<const N extends DemoHost['name'], const R extends DemoHost['role']>(
  parent: string,
  name: N,
  role: R,
  environment: Readonly<Record<string, string>>,
): Promise<DemoHost & { name: N; role: R }> {
  const folder = join(parent, name);
  const data = join(folder, 'data');
  const configFile = join(folder, `${role}.toml`);
  const postern = join(folder, 'postern');
  await mkdir(data, { recursive: true, mode: 0o700 });
  const settings = Object.entries({ ...environment, POSTERN_CONFIG: configFile });
  await writeFile(
    postern,
    [
      '#!/bin/sh',
      `# The postern command on ${name}.`,
      `${settings.map(([key, value]) => `${key}=${quote(value)}`).join(' ')} exec ${quote(process.execPath)} ${quote(MAIN)} "$@"`,
      '',
    ].join('\n'),
    { mode: 0o755 },
  );
  return { name, role, folder, data, configFile, postern };
}

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Ports of 127.0.0.1 that nobody listens on at this moment. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server
            .once('error', reject)
            .listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
