/** From the [source] table to a feed and a mapper: files are read and judged here, nothing is connected yet. */
import { lstat, readFile, stat } from 'node:fs/promises';
import type { Clock } from '../../base/clock.ts';
import { isPosternError, PosternError } from '../../base/error.ts';
import { Secret } from '../../base/secret.ts';
import { parsePin } from '../../certificate/pin.ts';
import type { SourceConfig } from '../../config/hub-config.ts';
import { normaliseAddress } from '../../directory/address/address.ts';
import { attributesOf, createMapper, type Mapper } from '../../sync/mapping/mapping.ts';
import { MAPPING_PRESETS, mappingIdentity, type MappingRules } from '../../sync/mapping/preset.ts';
import { ldifFeed } from '../../sync/source/ldif-file.ts';
import { openLdapFeed, type SourceTrust } from '../../sync/source/openldap.ts';
import type { Feed } from '../../sync/source/source.ts';

export interface OpenSource {
  readonly feed: Feed;
  readonly map: Mapper;
}

const LONGEST_PASSWORD_FILE = 4096;
const LARGEST_CA_FILE = 1 << 20;

/** Throws `config.invalid`, `file.unreadable`, `file.permissions`. */
export async function openSource(source: SourceConfig, clock: Clock): Promise<OpenSource> {
  try {
    const rules = mappingRules(source);
    return { feed: await feedOf(source, rules, clock), map: createMapper(rules, normaliseAddress) };
  } catch (error) {
    if (!isPosternError(error, 'usage', 'decode')) throw error;
    // What is decoded here is the filter.
    const key = error.code === 'decode' ? `source.filter "${source.filter}"` : 'source';
    throw new PosternError('config.invalid', `${key}: ${error.message}`, {
      cause: error,
      hint: error.hint ?? 'correct the table [source] in hub.toml',
    });
  }
}

/** A preset with the parts that the configuration replaces. */
export function mappingRules(source: Pick<SourceConfig, 'mapping' | 'override'>): MappingRules {
  const preset = MAPPING_PRESETS[source.mapping];
  if (preset === undefined)
    throw new PosternError('config.invalid', `source.mapping: there is no mapping "${source.mapping}"`);
  const { addresses, proxy_addresses, kinds, leave_out, require } = source.override ?? {};
  return {
    ...preset,
    ...(addresses === undefined ? {} : { addresses }),
    ...(proxy_addresses === undefined ? {} : { proxyAddresses: proxy_addresses }),
    ...(kinds === undefined ? {} : { kinds }),
    ...(leave_out === undefined ? {} : { leaveOut: leave_out }),
    ...(require === undefined ? {} : { require }),
  };
}

async function feedOf(source: SourceConfig, rules: MappingRules, clock: Clock): Promise<Feed> {
  const mapping = mappingIdentity(rules);
  if (source.kind === 'ldif') return ldifFeed({ path: source.path ?? '', mapping });
  return openLdapFeed({
    url: source.url ?? '',
    startTls: source.start_tls,
    trust: await trustOf(source),
    bindDn: source.bind_dn,
    password: source.password_file === undefined ? undefined : await readPassword(source.password_file),
    base: source.base,
    filter: source.filter,
    attributes: attributesOf(rules),
    mapping,
    clock,
  });
}

async function trustOf(source: SourceConfig): Promise<SourceTrust> {
  const { pin, ca_file } = source;
  if (pin !== undefined && ca_file !== undefined) {
    throw new PosternError(
      'config.invalid',
      'source: pin and ca_file are two ways to trust the same server',
      {
        hint: 'keep one of the two',
      },
    );
  }
  if (pin !== undefined) return { kind: 'pin', pin: parsePin(pin) };
  if (ca_file === undefined) return { kind: 'authorities' };
  const authorities = (await readBounded(ca_file, 'source.ca_file', LARGEST_CA_FILE)).toString('latin1');
  if (!authorities.includes('-----BEGIN CERTIFICATE-----')) {
    throw new PosternError('config.invalid', `source.ca_file: no certificate is in ${ca_file}`, {
      hint: 'the file has to be PEM: openssl x509 -in FILE -inform DER makes it so',
    });
  }
  return { kind: 'authorities', authorities };
}

/** The password: the file's content without its last line end. */
async function readPassword(path: string): Promise<Secret> {
  const { mode } = await stat(path).catch((cause: unknown) =>
    unreadable(path, 'source.password_file', cause),
  );
  if ((mode & 0o077) !== 0) {
    throw new PosternError('file.permissions', `others may read the password in ${path}`, {
      hint: `chmod 600 ${path}`,
      fields: { path, mode: (mode & 0o777).toString(8) },
    });
  }
  const bytes = await readBounded(path, 'source.password_file', LONGEST_PASSWORD_FILE);
  let { length } = bytes;
  if (bytes[length - 1] === 10) length -= bytes[length - 2] === 13 ? 2 : 1;
  const password = new Secret(bytes.subarray(0, length));
  bytes.fill(0);
  if (password.length === 0)
    throw new PosternError('config.invalid', `source.password_file: ${path} is empty`, {
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
