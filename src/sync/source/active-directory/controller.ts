/** What a domain controller says of itself: which of its naming contexts holds the base, who it is, and what it can do. */
import { isPosternError, PosternError } from '../../../base/error.ts';
import type { LdapClient } from '../../../ldap/client.ts';
import { CONTROL } from '../../../ldap/control.ts';
import { formatDn, parseDn } from '../../../ldap/dn.ts';
import type { Control } from '../../../ldap/message.ts';
import { RESULT_CODE } from '../../../ldap/result-code.ts';
import { entryAttributes } from '../entry-attributes.ts';
import type { SourceEntry } from '../source.ts';

export interface Controller {
  /** The naming context that holds the base: where changes are asked for. */
  readonly namingContext: string;
  readonly schemaContext: string;
  /** 16 octets; another one after the controller was restored from a backup. */
  readonly invocationId: Buffer;
  /** highestCommittedUSN when it was asked. */
  readonly usn: number;
  readonly dirSync: boolean;
  readonly notification: boolean;
  /** The account may see what was deleted. Otherwise a deletion shows only in that an object is missing among all. */
  readonly seesDeleted: boolean;
}

/** Throws `source.invalid` when this is no domain controller, or holds no part of the domain with `base`. */
export async function readController(client: LdapClient, base: string): Promise<Controller> {
  const root = await readBase(client, '', [
    'namingContexts',
    'schemaNamingContext',
    'dsServiceName',
    'highestCommittedUSN',
    'supportedControl',
  ]);
  const service = first(root, 'dsservicename');
  const usn = Number(first(root, 'highestcommittedusn') ?? Number.NaN);
  if (root === undefined || service === undefined || !Number.isSafeInteger(usn) || usn < 0) {
    throw new PosternError('source.invalid', `${client.where} is no domain controller of Active Directory`, {
      hint: 'name a domain controller in source.url; other directories: source.kind = "openldap"',
    });
  }
  const invocationId = (await readBase(client, service, ['invocationId']))?.get('invocationid')?.[0];
  if (invocationId?.length !== 16) {
    throw new PosternError('source.invalid', 'the account may not read which database the controller has', {
      hint: `let it read invocationId of ${service}`,
    });
  }
  const controls = texts(root, 'supportedcontrol');
  const namingContext = contextOf(base, texts(root, 'namingcontexts'));
  const deletedObjects = `CN=Deleted Objects,${namingContext}`;
  const showDeleted = { oid: CONTROL.showDeleted, critical: true };
  return {
    namingContext,
    schemaContext: first(root, 'schemanamingcontext') ?? '',
    // The name of it may be seen by anybody.
    seesDeleted:
      first(await readBase(client, deletedObjects, ['isDeleted'], [showDeleted]), 'isdeleted') !== undefined,
    invocationId: Buffer.from(invocationId),
    usn,
    dirSync: controls.includes(CONTROL.dirSync),
    notification: controls.includes(CONTROL.notification),
  };
}

/** highestCommittedUSN now. */
export async function readUsn(client: LdapClient): Promise<number> {
  const usn = Number(first(await readBase(client, '', ['highestCommittedUSN']), 'highestcommittedusn'));
  if (!Number.isSafeInteger(usn) || usn < 0)
    throw new PosternError('source.invalid', 'the controller no longer says its highestCommittedUSN');
  return usn;
}

/** That the account still sees the base: one that may no longer read it would find nothing below, which must not count as absence. */
export async function requireBase(client: LdapClient, base: string): Promise<void> {
  if ((await readBase(client, base, ['1.1'])) !== undefined) return;
  throw new PosternError('source.invalid', `the account may not read "${base}"`, {
    hint: 'check source.base, and the rights of source.bind_dn; nothing is deleted meanwhile',
  });
}

async function readBase(
  client: LdapClient,
  base: string,
  attributes: readonly string[],
  controls: readonly Control[] = [],
): Promise<SourceEntry['attributes'] | undefined> {
  let found: SourceEntry['attributes'] | undefined;
  const search = client.search(
    { base, scope: 'base', attributes },
    { controls, accept: [RESULT_CODE.noSuchObject] },
  );
  for await (const { operation } of search)
    if (operation.op === 'searchResultEntry') found = entryAttributes(operation.attributes);
  return found;
}

function contextOf(base: string, contexts: readonly string[]): string {
  const wanted = comparable(base);
  const holds = contexts
    .filter((context) => {
      const candidate = comparable(context);
      return wanted === candidate || wanted.endsWith(`,${candidate}`);
    })
    .sort((a, b) => b.length - a.length)[0];
  if (holds !== undefined) return holds;
  throw new PosternError('source.invalid', `the controller holds no naming context with "${base}"`, {
    hint: `source.base has to be one of these, or below it: ${contexts.slice(0, 8).join('; ')}`,
  });
}

function comparable(dn: string): string {
  try {
    return formatDn(parseDn(dn)).toLowerCase();
  } catch (error) {
    if (!isPosternError(error, 'decode')) throw error;
    return dn.toLowerCase();
  }
}

function texts(attributes: SourceEntry['attributes'] | undefined, name: string): string[] {
  return (attributes?.get(name) ?? []).map((value) => value.toString('utf8'));
}

function first(attributes: SourceEntry['attributes'] | undefined, name: string): string | undefined {
  return texts(attributes, name)[0];
}
