/** Feed from an LDIF file: the whole file is one complete pass. For tests, demonstrations, and nightly exports. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { isPosternError, PosternError } from '../../base/error.ts';
import { LdifReader, type LdifRecord } from '../../ldap/ldif.ts';
import { guidBytes } from '../recipient.ts';
import { entryAttributes } from './entry-attributes.ts';
import { GuidLines } from './guid-lines.ts';
import type { Feed, FeedEvent, FeedIdentity, SourceEntry } from './source.ts';

export interface LdifFileOptions {
  readonly path: string;
  /** Name of the mapping that will be applied: part of what a cookie is worth. */
  readonly mapping: string;
}

/** GUID of an entry: entryUUID, or objectGUID, or (since hand-made files have neither) a hash of its DN. */
export function ldifGuid(record: LdifRecord): Buffer {
  for (const { type, values } of record.attributes) {
    const value = values[0];
    if (value === undefined) continue;
    if (type.toLowerCase() === 'entryuuid') {
      const guid = guidBytes(value.toString('latin1'));
      if (guid !== undefined) return guid;
    }
    if (type.toLowerCase() === 'objectguid' && value.length === 16) return value;
  }
  return createHash('sha256').update('ldif-dn\0').update(record.dn.toLowerCase()).digest().subarray(0, 16);
}

export function ldifFeed(options: LdifFileOptions): Feed {
  const identity: FeedIdentity = {
    kind: 'ldif',
    instance: options.path,
    base: '',
    filter: '',
    attributes: [],
    bindIdentity: '',
    mapping: options.mapping,
  };
  return { identity, live: false, follow: (cookie, signal) => followFile(options.path, cookie, signal) };
}

/** The cookie is the file's size and modification time: an unchanged file is one event. */
async function* followFile(
  path: string,
  cookie: Buffer | undefined,
  signal: AbortSignal,
): AsyncGenerator<readonly FeedEvent[]> {
  const position = await filePosition(path);
  if (cookie?.equals(position) === true) {
    yield [{ kind: 'complete', sweep: false, cookie: position }];
    return;
  }
  const reader = new LdifReader();
  const lines = new GuidLines();
  const convert = (record: LdifRecord): FeedEvent => {
    const entry = toEntry(record);
    const earlier = lines.add(entry.guid, record.line);
    if (earlier !== undefined) {
      throw new PosternError(
        'source.invalid',
        `lines ${earlier} and ${record.line} of ${path} are the same entry`,
        {
          hint: 'every entry needs its own DN and entryUUID; correct the file',
          fields: { line: record.line },
        },
      );
    }
    return { kind: 'upsert', entry };
  };
  try {
    for await (const chunk of createReadStream(path, { signal, highWaterMark: 256 << 10 })) {
      const events = reader.push(chunk as Buffer).map(convert);
      if (events.length > 0) yield events;
    }
  } catch (error) {
    throw unreadable(path, error);
  }
  const last = lastEvents(() => reader.end().map(convert), path);
  if (lines.size === 0) {
    throw new PosternError('source.invalid', `${path} holds no entry`, {
      hint: 'an export that failed leaves such a file; to remove all recipients, remove the source from hub.toml',
    });
  }
  // A file that changed while it was read may have been cut: it proves nothing about absence.
  if (!(await filePosition(path)).equals(position)) {
    throw new PosternError('source.incomplete', `${path} changed while it was being read`, {
      hint: 'write the file elsewhere and rename it into place',
    });
  }
  yield [...last, { kind: 'complete', sweep: true, cookie: position }];
}

function lastEvents(read: () => FeedEvent[], path: string): FeedEvent[] {
  try {
    return read();
  } catch (error) {
    throw unreadable(path, error);
  }
}

function toEntry(record: LdifRecord): SourceEntry {
  return { guid: ldifGuid(record), dn: record.dn, attributes: entryAttributes(record.attributes) };
}

async function filePosition(path: string): Promise<Buffer> {
  try {
    const { size, mtimeNs, ino } = await stat(path, { bigint: true });
    return Buffer.from(`${size}:${mtimeNs}:${ino}`);
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): unknown {
  if (isPosternError(error, 'decode')) {
    return new PosternError('source.invalid', `${path}: ${error.message}`, {
      fields: error.fields,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    });
  }
  if (error instanceof PosternError || (error as { name?: string }).name === 'AbortError') return error;
  return new PosternError('source.unavailable', `cannot read ${path}`, {
    cause: error,
    hint: 'check source.path in hub.toml and the permissions of the file',
  });
}
