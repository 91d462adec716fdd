/** From the [source] table to a feed and a mapper: files are read and judged here, nothing is connected yet. */
import type { Clock } from '../../base/clock.ts';
import { isPosternError, PosternError } from '../../base/error.ts';
import type { SourceConfig } from '../../config/hub-config.ts';
import { normaliseAddress } from '../../directory/address/address.ts';
import { attributesOf, createMapper, type Mapper } from '../../sync/mapping/mapping.ts';
import { MAPPING_PRESETS, mappingIdentity, type MappingRules } from '../../sync/mapping/preset.ts';
import { activeDirectoryFeed } from '../../sync/source/active-directory/feed.ts';
import { ds389Feed } from '../../sync/source/ds389.ts';
import { ldifFeed } from '../../sync/source/ldif-file.ts';
import { openLdapFeed } from '../../sync/source/openldap.ts';
import { pollingFeed } from '../../sync/source/polling.ts';
import type { Feed } from '../../sync/source/source.ts';
import { openServerTable } from './server-table.ts';

export interface OpenSource {
  readonly feed: Feed;
  readonly map: Mapper;
}

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
  const { url = '', base, filter } = source;
  const server = await openServerTable('source', { ...source, url });
  const common = { ...server, base, filter, attributes: attributesOf(rules), mapping, clock };
  if (source.kind === 'openldap') return openLdapFeed(common);
  if (source.kind === '389ds') return ds389Feed(common);
  const pollEveryMs = source.poll;
  if (source.kind === 'ldap')
    return pollingFeed({ ...common, pollEveryMs, uniqueId: source.unique_id, fullEveryMs: source.full });
  return activeDirectoryFeed({
    ...common,
    urls: [url, ...source.fallback_urls],
    nextAfterMs: source.fallback_after,
    changes: source.changes,
    pollEveryMs,
    cookieValidityMs: source.cookie_validity,
  });
}
