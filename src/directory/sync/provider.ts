/**
 * What all consumers of content synchronisation (RFC 4533) share: the run, and the change log. Both outlive an orderly end, and nothing else: after a crash,
 * changes that somebody was told of may not have happened, so another run begins and no earlier cookie fits.
 */
import type { Random } from '../../base/random.ts';
import type { ChangeNumber, Database } from '../database.ts';
import type { DatabaseChange } from '../database-change.ts';
import type { Directory } from '../directory.ts';
import { serverOf } from '../entry/computed.ts';
import { EntryView } from '../entry/layout.ts';
import { normalName } from '../entry/name.ts';
import { hashBytes } from '../index/hash.ts';
import type { RecordStore } from '../store/contract.ts';
import { ChangeLog, type ChangesSince } from './change-log.ts';
import { type CookieIssuer, formatCookie, isAfter, parseCookie } from './cookie.ts';

const RUN = 'sync-run';
const LOG = 'sync-log';
/** Stays for ever, in copies too: consumers such as slapd's follow one server, and compare its numbers by time. */
const SERVER = 'sync-server';

/** 31 bytes each: what a hub changes in a day, as a rule. */
export const DEFAULT_CHANGE_LOG = 65_536;
/** Entries below a renamed one that are remembered one by one, as a share of the log. */
const MOST_BELOW_SHARE = 0.25;

export class SyncProvider {
  readonly #directory: Directory;
  readonly #log: ChangeLog;
  readonly #issuer: CookieIssuer;
  readonly #view = new EntryView();
  readonly #before = new EntryView();

  constructor(directory: Directory, capacity: number) {
    this.#directory = directory;
    const { database, random } = directory;
    const { store } = database;
    const saved = store.getMeta(RUN)?.toString('latin1');
    const log = store.getMeta(LOG);
    const server = store.getMeta(SERVER)?.toString('latin1') ?? newServer(random);
    this.#issuer = { server, run: saved ?? random.bytes(3).toString('hex') };
    // Cookies of this run come after all that an earlier one can have given, or consumers would take them for old ones.
    if (saved === undefined) database.nextChange();
    this.#log =
      (saved === undefined || log === undefined ? undefined : ChangeLog.load(log, capacity)) ??
      new ChangeLog(capacity, database.lastChange);
    this.#save(undefined, undefined);
    database.run = `0${server}`;
    directory.committer.onApplied = (change) => {
      try {
        this.#note(change);
      } catch (error) {
        // The group stands; what was not noted must not pass for unchanged.
        directory.log.error('a change was not noted for content synchronisation', { error });
        this.#log.forget(directory.database.lastChange);
      }
    };
  }

  /** How many changes the log can hold, and the memory it takes now. */
  get capacity(): number {
    return this.#log.capacity;
  }

  get logBytes(): number {
    return this.#log.bytes;
  }

  /** A cookie for a position. */
  cookie(change: ChangeNumber): Buffer {
    return formatCookie(change, this.#issuer);
  }

  /**
   * The position of a client's cookie; undefined when it isn't of this run, from a future we know nothing of, or too old to be brought
   * forward: the client then gets everything.
   */
  position(cookie: Buffer, now: ChangeNumber): ChangeNumber | undefined {
    const position = parseCookie(cookie, this.#issuer);
    if (position === undefined || isAfter(position, now)) return undefined;
    return this.#log.reaches(position) ? position : undefined;
  }

  /** What happened after a position; undefined when nobody remembers. */
  since(position: ChangeNumber): ChangesSince | undefined {
    return this.#log.since(position);
  }

  close(): void {
    this.#directory.committer.onApplied = undefined;
    this.#save(Buffer.from(this.#issuer.run), this.#log.save());
  }

  /** At once when a group is applied: whoever refreshes now sees what it did, so has to know what it took away. */
  #note(change: DatabaseChange): void {
    const { database } = this.#directory;
    const number = database.lastChange;
    const [before, after] = [this.#before, this.#view];
    for (const { id, before: octets, dnBefore } of change.entries.values()) {
      if (octets !== undefined) {
        before.buffer = octets;
        before.start = 0;
        before.end = octets.length;
      }
      if (!database.read(id, after)) {
        if (octets !== undefined) this.#log.add(before.uuid(), 0, number);
        continue;
      }
      // The number of a deleted entry may have come to an added one within the group.
      const uuid = after.uuid();
      if (octets !== undefined && !before.uuid().equals(uuid)) this.#log.add(before.uuid(), 0, number);
      else if (octets !== undefined && isRenamed(before, after)) {
        this.#log.add(uuid, 0, number, nameHash(database, (dnBefore ?? EMPTY).toString('utf8')));
        this.#noteBelow(id, number);
        continue;
      }
      this.#log.add(uuid, 0, number);
    }
  }

  #noteBelow(top: number, number: ChangeNumber): void {
    const { database } = this.#directory;
    const below = descendants(database, top, this.#log.capacity * MOST_BELOW_SHARE);
    if (below === undefined) return this.#log.forget(number);
    for (const id of below)
      if (database.read(id, this.#view)) this.#log.addBelow(this.#view.uuid(), 0, number);
  }

  #save(run: Buffer | undefined, log: Buffer | undefined): void {
    const change = this.#directory.database.begin();
    change.setMeta(RUN, run);
    change.setMeta(LOG, log);
    change.setMeta(SERVER, Buffer.from(this.#issuer.server));
    change.commit((error) => {
      if (error !== undefined)
        this.#directory.log.debug('the state of content synchronisation was not saved', { error });
    });
  }
}

const EMPTY = Buffer.alloc(0);

/** Three hexadecimal digits, odd: as `serverOf` reads them. */
const newServer = (random: Random): string => serverOf(random.bytes(2).toString('hex'));

function isRenamed(before: EntryView, after: EntryView): boolean {
  return before.parent !== after.parent || !before.rdn().equals(after.rdn());
}

/** A hash of a name however it is spelt. */
export function nameHash(database: Database, dn: string): number {
  const name = database.names.tryRead(dn);
  const normal = name === undefined ? EMPTY : normalName(name);
  return hashBytes(normal, 0, normal.length, 0);
}

/** Record numbers of all entries below one, parents before children; undefined when there are more than `most`. */
export function descendants({ tree }: Database, top: number, most: number): number[] | undefined {
  const found: number[] = [];
  const waiting = [top];
  for (let at = waiting.shift(); at !== undefined; at = waiting.shift()) {
    if (found.length + tree.childCount(at) > most) return undefined;
    for (let child = tree.firstChild(at); child !== 0; child = tree.nextSibling(child)) {
      found.push(child);
      if (tree.childCount(child) > 0) waiting.push(child);
    }
  }
  return found;
}

/** A copy of a directory is not the directory: no cookie that the original gave may fit it. */
export async function forgetHistory(store: RecordStore): Promise<void> {
  const batch = store.begin();
  batch.setMeta(RUN, undefined);
  batch.setMeta(LOG, undefined);
  await batch.commit();
}
