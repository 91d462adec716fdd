/** Which embedded directory a command is about: through the daemon that runs, or, when none does, through its files. */
import type { ControlClient } from '../admin/control-client.ts';
import { appClient } from '../admin/app-client.ts';
import { isPosternError, PosternError } from '../base/error.ts';
import { configuredDaemons, type Context, edgeConfig, hubConfig, type Role } from './context.ts';

export interface DirectoryPlace {
  readonly role: Role;
  readonly name: string;
  /** The daemon's data folder. */
  readonly data: string;
  /** The configuration file. */
  readonly path: string;
}

export interface DirectoryTarget extends DirectoryPlace {
  readonly client: ControlClient;
}

/** The directories that are configured on this machine. */
export function directoryPlaces(context: Context, given: string | undefined): DirectoryPlace[] {
  return configuredDaemons(context, given).map(({ role, path }) => {
    const { name, data } = role === 'edge' ? edgeConfig(context, path) : hubConfig(context, path);
    return { role, name, data, path };
  });
}

/** The only one; with two it has to be said which is meant. */
export function directoryPlace(context: Context, given: string | undefined): DirectoryPlace {
  const [place, other] = directoryPlaces(context, given);
  if (place !== undefined && other === undefined) return place;
  throw new PosternError('usage', 'an edge and a hub are configured here: which one?', {
    hint: `--config ${place?.path ?? ''}, or --config ${other?.path ?? ''}`,
  });
}

/** Runs `use` on the directory, by its daemon if one answers and else on its files. */
export async function withDirectory<T>(
  context: Context,
  place: DirectoryPlace,
  use: (target: DirectoryTarget) => Promise<T>,
): Promise<T> {
  const client = await reachable(context, place);
  if (client !== undefined) return use({ ...place, client });
  const { openOfflineDirectory } = await import('../daemon/offline-directory.ts');
  context.process.stderr.write(`postern: the ${place.role} is not running: working on its files\n`);
  const offline = await openOfflineDirectory(place);
  try {
    return await use({ ...place, client: appClient(offline.app) });
  } finally {
    await offline.close();
  }
}

/** Undefined when no daemon runs. A socket that may not be opened is no sign of that. */
async function reachable(
  context: Context,
  { role, path }: DirectoryPlace,
): Promise<ControlClient | undefined> {
  const client = configuredDaemons(context, path).find((daemon) => daemon.role === role)?.client;
  try {
    await client?.call('GET', '/v1/directory/alive');
  } catch (error) {
    const cause = isPosternError(error, 'daemon.unreachable')
      ? (error.cause as NodeJS.ErrnoException)
      : undefined;
    if (cause?.code !== 'ENOENT' && cause?.code !== 'ECONNREFUSED') throw error;
    return undefined;
  }
  return client;
}

/** To standard output, no faster than it is taken. */
export function writeData(context: Context, chunk: Buffer): Promise<void> | void {
  const output = context.process.stdout as unknown as NodeJS.WriteStream;
  if (output.write(chunk)) return undefined;
  return new Promise((resolve) => {
    output.once('drain', () => resolve());
  });
}
