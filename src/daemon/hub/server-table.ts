/** From a table that names an LDAP server ([source], [configuration]) to what connects to it: files are read and judged here, nothing is connected yet. */
import { lstat, readFile, stat } from 'node:fs/promises';
import { PosternError } from '../../base/error.ts';
import { Secret } from '../../base/secret.ts';
import { parsePin } from '../../certificate/pin.ts';
import type { ServerTable } from '../../config/hub-config.ts';
import type { DirectoryServerOptions, ServerTrust } from '../../sync/directory-server.ts';

const LONGEST_PASSWORD_FILE = 4096;
const LARGEST_CA_FILE = 1 << 20;

/** Throws `config.invalid`, `file.unreadable`, `file.permissions`, `usage`. */
export async function openServerTable(
  name: string,
  table: ServerTable,
): Promise<Omit<DirectoryServerOptions, 'clock'>> {
  const { password_file: file } = table;
  const password = file === undefined ? undefined : (): Promise<Secret> => readPassword(name, file);
  // Judged now, as everything else here, and read again for each connection.
  (await password?.())?.erase();
  return {
    table: name,
    url: table.url,
    startTls: table.start_tls,
    trust: await trustOf(name, table),
    bindDn: table.bind_dn,
    password,
  };
}

async function trustOf(name: string, { pin, ca_file }: ServerTable): Promise<ServerTrust> {
  if (pin !== undefined && ca_file !== undefined) {
    throw new PosternError(
      'config.invalid',
      `${name}: pin and ca_file are two ways to trust the same server`,
      {
        hint: 'keep one of the two',
      },
    );
  }
  if (pin !== undefined) return { kind: 'pin', pin: parsePin(pin) };
  if (ca_file === undefined) return { kind: 'authorities' };
  const authorities = (await readBounded(ca_file, `${name}.ca_file`, LARGEST_CA_FILE)).toString('latin1');
  if (!authorities.includes('-----BEGIN CERTIFICATE-----')) {
    throw new PosternError('config.invalid', `${name}.ca_file: no certificate is in ${ca_file}`, {
      hint: 'the file has to be PEM: openssl x509 -in FILE -inform DER makes it so',
    });
  }
  return { kind: 'authorities', authorities };
}

/** The password: the file's content without its last line end. */
async function readPassword(name: string, path: string): Promise<Secret> {
  const { mode } = await stat(path).catch((cause: unknown) =>
    unreadable(path, `${name}.password_file`, cause),
  );
  if ((mode & 0o077) !== 0) {
    throw new PosternError('file.permissions', `others may read the password in ${path}`, {
      hint: `chmod 600 ${path}`,
      fields: { path, mode: (mode & 0o777).toString(8) },
    });
  }
  const bytes = await readBounded(path, `${name}.password_file`, LONGEST_PASSWORD_FILE);
  let { length } = bytes;
  if (bytes[length - 1] === 10) length -= bytes[length - 2] === 13 ? 2 : 1;
  const password = new Secret(bytes.subarray(0, length));
  bytes.fill(0);
  if (password.length === 0)
    throw new PosternError('config.invalid', `${name}.password_file: ${path} is empty`, {
      hint: 'write the password of bind_dn into it',
    });
  return password;
}

async function readBounded(path: string, key: string, most: number): Promise<Buffer> {
  const { size } = await lstat(path).catch((cause: unknown) => unreadable(path, key, cause));
  if (size > most)
    throw new PosternError('config.invalid', `${key}: ${path} has ${size} bytes; at most ${most} make sense`);
  return readFile(path).catch((cause: unknown) => unreadable(path, key, cause));
}

function unreadable(path: string, key: string, cause: unknown): never {
  throw new PosternError('file.unreadable', `cannot read ${path}`, {
    cause,
    hint: `check ${key} in hub.toml, and that the daemon's user may read the file`,
    fields: { path },
  });
}
