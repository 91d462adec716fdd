/**
 * Which objects of a naming context have changed since a position: their GUIDs only. What they have become is read anew (`read-entries.ts`),
 * since a change tells some attributes of an object and nothing of it when it leaves a filter.
 */
import { decodeDirSyncResponse, encodeDirSyncRequest } from '../../../ldap/active-directory-values.ts';
import type { LdapClient, SearchItem } from '../../../ldap/client.ts';
import { CONTROL, findControl } from '../../../ldap/control.ts';
import type { Filter } from '../../../ldap/message.ts';
import { entryAttributes } from '../entry-attributes.ts';
import { pages } from '../pages.ts';
import { readUsn } from './controller.ts';
import { swapGuid } from './object-guid.ts';
import type { AdPosition } from './position.ts';
import { readSome } from './read-entries.ts';

export interface Change {
  readonly guid: Buffer;
  /** It is in the recycle bin, or a tombstone. */
  readonly deleted: boolean;
  /** Others may be below it, and it was perhaps moved or renamed: their names have changed then without a change of their own. */
  readonly movedContainer: boolean;
}

export interface ChangeQuery {
  readonly namingContext: string;
  /** A change of any other attribute is no change. */
  readonly attributes: readonly string[];
}

/** What was found, and where it leads to. */
export interface Changes {
  readonly found: readonly Change[];
  readonly position: AdPosition;
  /** More can be had at once. */
  readonly more: boolean;
}

const ANY: Filter = { kind: 'present', attribute: 'objectClass' };
/** Octets of one DirSync answer. */
const DIRSYNC_BYTES = 4 << 20;
/** Name and whenCreated tell a rename from a new object; isDeleted tells a deletion. */
const ALWAYS = ['objectGUID', 'name', 'whenCreated', 'isDeleted'];
const CONTAINERS = new Set([
  'organizationalunit',
  'container',
  'builtindomain',
  'domaindns',
  'msexchsystemobjectscontainer',
]);

/** Throws `ldap.result` when the server refuses the method or the position. */
export function changesSince(
  client: LdapClient,
  query: ChangeQuery,
  position: AdPosition,
  now: number,
  signal: AbortSignal,
): Promise<Changes> {
  return position.method === 'dirsync'
    ? byDirSync(client, query, position, now, signal)
    : byUsn(client, query, position, now, signal);
}

/** A DirSync position of now, past everything that there is: no object is sent for it but by a server that cannot help it. */
export async function dirSyncNow(
  client: LdapClient,
  query: Pick<ChangeQuery, 'namingContext'>,
  start: Omit<AdPosition, 'method' | 'cookie'>,
  signal: AbortSignal,
): Promise<AdPosition> {
  let cookie: Buffer = Buffer.alloc(0);
  for (;;) {
    const answer = await dirSync(
      client,
      query.namingContext,
      ['objectGUID'],
      cookie,
      signal,
      () => undefined,
    );
    cookie = answer.cookie;
    if (!answer.more) return { ...start, method: 'dirsync', cookie };
  }
}

async function byDirSync(
  client: LdapClient,
  query: ChangeQuery,
  position: AdPosition,
  now: number,
  signal: AbortSignal,
): Promise<Changes> {
  const objects: { guid: Buffer; deleted: boolean; renamed: boolean }[] = [];
  const attributes = [...new Set([...ALWAYS, ...query.attributes])];
  const { namingContext } = query;
  const { more, cookie } = await dirSync(
    client,
    namingContext,
    attributes,
    position.cookie,
    signal,
    (item) => {
      const seen = seenObject(item);
      if (seen === undefined) return;
      const deleted = isDeleted(seen.attributes, seen.dn);
      const renamed = !deleted && seen.attributes.has('name') && !seen.attributes.has('whencreated');
      objects.push({ guid: seen.guid, deleted, renamed });
    },
  );
  const renamed = objects.filter((object) => object.renamed).map(({ guid }) => guid);
  const containers = await containersAmong(client, namingContext, renamed, signal);
  const found = objects.map(({ guid, deleted }) => ({
    guid,
    deleted,
    movedContainer: containers.has(guid.toString('hex')),
  }));
  return { found, more, position: { ...position, cookie, reachedAt: now } };
}

/** A change does not tell what kind of object it is. */
async function containersAmong(
  client: LdapClient,
  base: string,
  guids: readonly Buffer[],
  signal: AbortSignal,
): Promise<Set<string>> {
  const containers = new Set<string>();
  const query = { base, filter: ANY, attributes: ['objectClass'] };
  for await (const entries of readSome(client, query, guids, signal))
    for (const { guid, attributes } of entries)
      if (isContainer(attributes)) containers.add(guid.toString('hex'));
  return containers;
}

async function dirSync(
  client: LdapClient,
  namingContext: string,
  attributes: readonly string[],
  cookie: Buffer,
  signal: AbortSignal,
  each: (item: SearchItem) => void,
): Promise<{ readonly more: boolean; readonly cookie: Buffer }> {
  const value = encodeDirSyncRequest({ flags: 0, maxBytes: DIRSYNC_BYTES, cookie });
  const search = client.search(
    { base: namingContext, filter: ANY, attributes },
    { controls: [{ oid: CONTROL.dirSync, critical: true, value }], signal },
  );
  for await (const item of search) each(item);
  const { controls } = await search.done;
  const answer = decodeDirSyncResponse(findControl(controls, CONTROL.dirSync)?.value);
  return { more: answer.more, cookie: Buffer.from(answer.cookie) };
}

async function byUsn(
  client: LdapClient,
  query: ChangeQuery,
  position: AdPosition,
  now: number,
  signal: AbortSignal,
): Promise<Changes> {
  // First: what is committed while the search runs is found again the next time.
  const usn = await readUsn(client);
  const found: Change[] = [];
  if (usn > position.usn) {
    const since: Filter = {
      kind: 'greaterOrEqual',
      attribute: 'uSNChanged',
      value: Buffer.from(String(position.usn + 1)),
    };
    const parameters = {
      base: query.namingContext,
      filter: since,
      attributes: ['objectGUID', 'isDeleted', 'objectClass', 'uSNCreated'],
    };
    const showDeleted = { oid: CONTROL.showDeleted, critical: true };
    for await (const items of pages(client, parameters, signal, [showDeleted])) {
      for (const item of items) {
        const seen = seenObject(item);
        if (seen === undefined) continue;
        const { guid, attributes } = seen;
        const created = Number(attributes.get('usncreated')?.[0]?.toString('latin1') ?? 0);
        const deleted = isDeleted(attributes, seen.dn);
        const movedContainer = !deleted && created <= position.usn && isContainer(attributes);
        found.push({ guid, deleted, movedContainer });
      }
    }
  }
  return { found, more: false, position: { ...position, usn, reachedAt: now } };
}

function seenObject(item: SearchItem) {
  const { operation } = item;
  if (operation.op !== 'searchResultEntry') return undefined;
  const attributes = entryAttributes(operation.attributes);
  const guid = swapGuid(attributes.get('objectguid')?.[0]);
  return guid === undefined ? undefined : { guid, dn: operation.dn, attributes };
}

function isDeleted(attributes: ReadonlyMap<string, readonly Buffer[]>, dn: string): boolean {
  if (attributes.get('isdeleted')?.[0]?.toString('latin1').toUpperCase() === 'TRUE') return true;
  // The name of a deleted object: its RDN, a line feed, "DEL:", its GUID ([MS-ADTS] 3.1.1.5.5.1.1).
  return /\\0ADEL:[0-9a-f-]{36},/i.test(dn);
}

function isContainer(attributes: ReadonlyMap<string, readonly Buffer[]>): boolean {
  const classes = attributes.get('objectclass') ?? [];
  return classes.some((each) => CONTAINERS.has(each.toString('latin1').toLowerCase()));
}
