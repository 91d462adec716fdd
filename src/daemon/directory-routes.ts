/** The embedded directory over the control socket: search and export as LDIF lines, and a check of the files. Common to both daemons. */
import type { Hono } from 'hono';
import { streamText } from 'hono/streaming';
import { z } from 'zod';
import { isPosternError } from '../base/error.ts';
import { formatGeneralizedTime } from '../asn1/time.ts';
import type { Directory, Entry } from '../directory/directory.ts';
import type { RecordStore } from '../directory/store/store.ts';
import { formatLdif } from '../ldap/ldif.ts';
import type { Attribute } from '../ldap/message.ts';
import { guidText } from '../sync/recipient.ts';
import { parseBody } from './route-body.ts';

const searchBody = z.strictObject({
  base: z.string().default(''),
  scope: z.enum(['base', 'one', 'subtree']).default('subtree'),
  sizeLimit: z.int().min(0).default(1000),
  filter: z.string().default('(objectClass=*)'),
  attributes: z.array(z.string()).default([]),
});

/** Sealed or not, these never leave through here. */
const SECRETS = new Set(['posterncredential', 'posternsealedkey']);

export function directoryRoutes(app: Hono, role: string, directory: Directory, store: RecordStore): void {
  app.post('/v1/directory/search', async (context) => {
    const { base, scope, sizeLimit, filter, attributes } = await parseBody(context, searchBody);
    const entries: Entry[] = [];
    await directory.scan({ scope, filter, ...(base === '' ? {} : { base }) }, (entry) => {
      if (sizeLimit === 0 || entries.length < sizeLimit) entries.push(entry);
    });
    return context.text(entries.map((entry) => formatLdif(entry.dn, selected(entry, attributes))).join(''));
  });

  app.post('/v1/directory/export', (context) =>
    streamText(context, async (stream) => {
      await stream.write('version: 1\n\n');
      let lines: string[] = [];
      const found: number[] = [];
      // Parents before children, as whoever loads the file needs them.
      const { tree } = directory.database;
      const queue = directory.database.contexts
        .map((item) => directory.resolve(item.dn))
        .filter((id) => id !== 0);
      for (let at = queue.shift(); at !== undefined; at = queue.pop()) {
        found.push(at);
        for (let child = tree.firstChild(at); child !== 0; child = tree.nextSibling(child)) queue.push(child);
      }
      for (const id of found) {
        const entry = directory.readEntry(id);
        if (entry === undefined) continue;
        lines.push(formatLdif(entry.dn, selected(entry, ['*', '+'])));
        if (lines.length < 1000) continue;
        await stream.write(lines.join(''));
        lines = [];
      }
      await stream.write(lines.join(''));
    }),
  );

  app.post('/v1/directory/verify', async (context) => {
    try {
      const report = await store.verify();
      return context.json({ role, sound: true, records: report.records, bytes: report.bytes, problems: [] });
    } catch (error) {
      if (!isPosternError(error, 'store.damaged')) throw error;
      const problems = [`${error.message}${error.hint === undefined ? '' : ` (${error.hint})`}`];
      return context.json({ role, sound: false, records: store.size, bytes: 0, problems });
    }
  });
}

/** `*` or nothing: user attributes; `+`: operational ones too. */
function selected(entry: Entry, names: readonly string[]): Attribute[] {
  const wanted = new Set(names.map((name) => name.toLowerCase()));
  const user = entry.attributes().filter(({ type }) => !SECRETS.has(type.toLowerCase()));
  const kept =
    wanted.size === 0 || wanted.has('*') ? user : user.filter(({ type }) => wanted.has(type.toLowerCase()));
  if (!wanted.has('+')) return kept;
  const text = (type: string, value: string): Attribute => ({ type, values: [Buffer.from(value)] });
  return [
    ...kept,
    text('entryUUID', guidText(entry.uuid)),
    text('createTimestamp', formatGeneralizedTime(entry.createdAt)),
    text('modifyTimestamp', formatGeneralizedTime(entry.modifiedAt)),
  ];
}
