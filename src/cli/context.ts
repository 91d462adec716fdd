/** What a command gets: streams, files, time, and the way to a daemon. Data goes to stdout, talk to stderr. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { CommandContext } from '@stricli/core';
import { type ControlClient, controlClient } from '../admin/control-client.ts';
import type { Clock } from '../base/clock.ts';
import { isPosternError, PosternError } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import { type EdgeConfig, edgeConfigSchema } from '../config/edge-config.ts';
import { type HubConfig, hubConfigSchema } from '../config/hub-config.ts';
import { parseConfig } from '../config/load.ts';
import { exitCodeOf } from './exit-code.ts';

/** A stream that may be a terminal. */
export interface Output {
  write(text: string): void;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

export interface Context extends CommandContext {
  readonly process: {
    readonly stdout: Output;
    readonly stderr: Output;
    exitCode?: number | string | null;
  };
  readonly clock: Clock;
  readonly random: Random;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
}

export type Role = 'edge' | 'hub';

export const CONFIG_FOLDER = '/etc/postern';

/** Prints data for scripts (one JSON document) or for people. */
export function print(context: Context, json: boolean, document: unknown, text: () => string): void {
  const output = json ? JSON.stringify(document) : text();
  context.process.stdout.write(output.endsWith('\n') ? output : `${output}\n`);
}

/** Runs a command's body; a PosternError becomes a message with its code and hint, and the exit code of its kind. */
export async function guarded(context: Context, body: () => Promise<number | void>): Promise<void> {
  try {
    context.process.exitCode = (await body()) ?? 0;
  } catch (error) {
    if (!isPosternError(error)) throw error;
    const { stderr } = context.process;
    const cause =
      error.cause instanceof Error &&
      error.cause.message !== '' &&
      !error.message.includes(error.cause.message)
        ? `: ${error.cause.message}`
        : '';
    stderr.write(`postern: ${error.message}${cause} [${error.code}]\n`);
    if (error.hint !== undefined) stderr.write(`  hint: ${error.hint}\n`);
    context.process.exitCode = exitCodeOf(error.code);
  }
}

export function readConfigFile(context: Context, path: string): string {
  try {
    return readFileSync(resolve(context.cwd, path), 'utf8');
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw new PosternError('config.invalid', `cannot read ${path}`, {
      cause,
      hint: missing
        ? 'name the file with --config, or create it; README.md shows one'
        : 'it has to be a file that the user of this command may read: try as root, or as the user of the daemon',
    });
  }
}

/** The configuration of a role: --config, else POSTERN_CONFIG, else /etc/postern/<role>.toml. */
export function configPath(context: Context, role: Role, given: string | undefined): string {
  return given ?? context.env['POSTERN_CONFIG'] ?? join(CONFIG_FOLDER, `${role}.toml`);
}

export function edgeConfig(context: Context, given: string | undefined): EdgeConfig {
  const path = configPath(context, 'edge', given);
  refuseOtherMachine('edge', path);
  const text = readConfigFile(context, path);
  refuseOtherRole('edge', path, text);
  return parseConfig(edgeConfigSchema, text, path);
}

export function hubConfig(context: Context, given: string | undefined): HubConfig {
  const path = configPath(context, 'hub', given);
  refuseOtherMachine('hub', path);
  const text = readConfigFile(context, path);
  refuseOtherRole('hub', path, text);
  return parseConfig(hubConfigSchema, text, path);
}

/** A command of the hub on a machine that is an edge, and the other way round. */
function refuseOtherMachine(role: Role, path: string): void {
  const other = role === 'edge' ? 'hub' : 'edge';
  const its = join(CONFIG_FOLDER, `${other}.toml`);
  if (path !== join(CONFIG_FOLDER, `${role}.toml`) || existsSync(path) || !existsSync(its)) return;
  throw new PosternError(
    'config.invalid',
    `this is a command of the ${role}, and here is ${other === 'edge' ? 'an edge' : 'a hub'} (${its})`,
    {
      hint: `run it on the ${role}`,
    },
  );
}

/** A command of the hub that is given the edge's file would name keys that are right as "unknown". */
function refuseOtherRole(role: Role, path: string, text: string): void {
  const other = role === 'edge' ? 'hub' : 'edge';
  const named = new RegExp(`(^|/)${other}\\.toml$`).test(path);
  if ((!named && !ONLY[other].test(text)) || ONLY[role].test(text)) return;
  const its = { edge: "an edge's", hub: "a hub's" };
  throw new PosternError(
    'config.invalid',
    `this is a command of the ${role}, and ${path} is ${its[other]} configuration`,
    { hint: `run it on the ${role}, or name ${its[role]} configuration with --config` },
  );
}

export function controlSocket(data: string): string {
  return join(data, 'control.sock');
}

export function edgeDaemon(context: Context, given: string | undefined): ControlClient {
  return controlClient(controlSocket(edgeConfig(context, given).data));
}

export function hubDaemon(context: Context, given: string | undefined): ControlClient {
  return controlClient(controlSocket(hubConfig(context, given).data));
}

/** The daemons that are configured on this machine, for commands that serve both roles. */
export function configuredDaemons(
  context: Context,
  given: string | undefined,
): { role: Role; client: ControlClient; path: string }[] {
  const single = given ?? context.env['POSTERN_CONFIG'];
  const candidates =
    single === undefined
      ? (['edge', 'hub'] as const)
          .map((role) => join(CONFIG_FOLDER, `${role}.toml`))
          .filter((path) => existsSync(path))
      : [single];
  if (candidates.length === 0) {
    throw new PosternError('config.invalid', `neither edge.toml nor hub.toml is in ${CONFIG_FOLDER}`, {
      hint: 'name the configuration with --config FILE',
    });
  }
  return candidates.map((path) => {
    const role = roleOf(context, path);
    const client = role === 'edge' ? edgeDaemon(context, path) : hubDaemon(context, path);
    return { role, client, path };
  });
}

/** Keys that only one of the two has. */
const ONLY: Readonly<Record<Role, RegExp>> = {
  edge: /^\s*\[\s*(listen|lookup|removal_guard|recovery|password_policy|limits)\s*\]/m,
  hub: /^\s*(\[\s*(source|schedule|lease|credentials)\s*\]|site\s*=)/m,
};

/** Which role a file configures: by its name, else by the keys that only one of the two has. */
export function roleOf(context: Context, path: string): Role {
  if (/hub[^/]*\.toml$/.test(path)) return 'hub';
  if (/edge[^/]*\.toml$/.test(path)) return 'edge';
  return ONLY.hub.test(readConfigFile(context, path)) ? 'hub' : 'edge';
}

/** Refuses to write a secret where others may read it, or over an existing file. */
export function outputFolder(path: string): string {
  return dirname(resolve(path));
}
