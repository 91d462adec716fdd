/** Entries of the embedded directory as LDIF, without secrets: what `postern directory search` and `export` answer, written as fast as it is taken. */
import { formatGeneralizedTime } from '../asn1/time.ts';
import { PosternError } from '../base/error.ts';
import type { Directory, Entry } from '../directory/directory.ts';
import type { EntryView } from '../directory/entry/layout.ts';
import { compileFilter } from '../directory/search/filter.ts';
import { SearchRun } from '../directory/search/search-run.ts';
import { IN_PROCESS, Session } from '../directory/session.ts';
import { parseFilter } from '../ldap/filter.ts';
import { formatLdif } from '../ldap/ldif.ts';
import type { Attribute, Scope } from '../ldap/message.ts';
import { guidText } from '../sync/recipient.ts';
import { isSecret } from './directory-import.ts';

/** The role of whoever is let at the control socket, in the access tables of both daemons. */
export const ADMINISTRATOR_ROLE = 'administrator';

/** Entries written between two waits for the reader. */
const PORTION = 500;

export interface TextQuery {
  /** Empty: every naming context. */
  readonly base: string;
  readonly scope: Scope;
  /** 0: all. */
  readonly sizeLimit: number;
  readonly filter: string;
  readonly attributes: readonly string[];
}

type Write = (text: string) => Promise<unknown>;

/** Record numbers of what an administrator finds: secrets count in no filter. */
export async function findForText(directory: Directory, query: TextQuery): Promise<number[]> {
  const base = query.base === '' ? 0 : directory.resolve(query.base);
  if (base === 0 && query.base !== '') throw noBase(query.base);
  const session = new Session(IN_PROCESS, {
    role: ADMINISTRATOR_ROLE,
    dn: '',
    authorizationId: `u:${ADMINISTRATOR_ROLE}`,
  });
  const found: number[] = [];
  const task = {
    base,
    scope: query.scope,
    filter: compileFilter(parseFilter(query.filter), directory.filterOptions),
    sizeLimit: query.sizeLimit,
    timeLimitMs: 0,
    lookThrough: 0,
  };
  const run = new SearchRun(task, directory, session, (id: number, _view: EntryView) => {
    found.push(id);
    return true;
  });
  await new Promise<void>((resolve, reject) => {
    const step = (): void => {
      try {
        if (run.step() === 'more') directory.turns.queue(step);
        else resolve();
      } catch (error) {
        reject(error as Error);
      }
    };
    step();
  });
  return found;
}

/** Record numbers of a subtree, or of everything: parents before children, as whoever loads the file needs them. */
export function subtreeForText(directory: Directory, base: string): number[] {
  const { tree, contexts } = directory.database;
  const tops =
    base === ''
      ? contexts.map((item) => directory.resolve(item.dn)).filter((id) => id !== 0)
      : [directory.resolve(base)];
  if (base !== '' && tops[0] === 0) throw noBase(base);
  const found: number[] = [];
  for (const top of tops) {
    const stack = [top];
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      found.push(at);
      for (let child = tree.firstChild(at); child !== 0; child = tree.nextSibling(child)) stack.push(child);
    }
  }
  return found;
}

export interface TextStyle {
  readonly attributes: readonly string[];
  /** Change records (`changetype: add`) in place of content records. */
  readonly changes?: boolean;
}

/** Writes the entries that are still there; each as it is at that moment. Returns how many. */
export async function writeText(
  directory: Directory,
  ids: readonly number[],
  style: TextStyle,
  write: Write,
): Promise<number> {
  // No other entry may get the number of one that is deleted meanwhile.
  const release = directory.database.store.holdIds();
  try {
    let count = 0;
    for (let at = 0; at < ids.length; at += PORTION) {
      const portion: string[] = [];
      for (const id of ids.slice(at, at + PORTION)) {
        const entry = directory.readEntry(id);
        if (entry === undefined) continue;
        portion.push(
          formatLdif(
            entry.dn,
            selected(directory, entry, style.attributes),
            style.changes ? 'add' : undefined,
          ),
        );
      }
      count += portion.length;
      await write(portion.join(''));
    }
    return count;
  } finally {
    release();
  }
}

/** `*` or nothing: user attributes; `+`: operational ones too; `1.1`: none. */
function selected(directory: Directory, entry: Entry, names: readonly string[]): Attribute[] {
  const wanted = new Set(names.map((name) => name.toLowerCase()));
  const user = entry.attributes().filter(({ type }) => !isSecret(directory, type));
  const all = wanted.size === 0 || wanted.has('*') || (wanted.size === 1 && wanted.has('+'));
  const kept = all ? user : user.filter(({ type }) => wanted.has(type.toLowerCase()));
  if (!wanted.has('+')) return kept;
  const text = (type: string, value: string): Attribute => ({ type, values: [Buffer.from(value)] });
  return [
    ...kept,
    text('entryUUID', guidText(entry.uuid)),
    text('createTimestamp', formatGeneralizedTime(entry.createdAt)),
    text('modifyTimestamp', formatGeneralizedTime(entry.modifiedAt)),
  ];
}

function noBase(base: string): PosternError {
  return new PosternError('not-found', `there is no entry ${base}`, {
    hint: 'postern directory stats lists the naming contexts',
  });
}
