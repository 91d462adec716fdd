/** The embedded directory over the control socket: what is behind `postern directory`. Common to both daemons, and to the command line when none runs. */
import { join } from 'node:path';
import type { Hono } from 'hono';
import { streamText } from 'hono/streaming';
import { z } from 'zod';
import type {
  BackupDocument,
  CompactDocument,
  DirectoryOwner,
  StatsDocument,
  StoreVerifyDocument,
} from '../admin/directory-documents.ts';
import { isPosternError, PosternError } from '../base/error.ts';
import { type Files, replaceFile } from '../base/files.ts';
import { VERSION } from '../base/version.ts';
import type { Directory } from '../directory/directory.ts';
import type { RecordStore } from '../directory/store/store.ts';
import { importPiece } from './directory-import.ts';
import { findForText, subtreeForText, writeText } from './directory-text.ts';
import { parseBody } from './route-body.ts';

export interface DirectoryRoutesOptions extends DirectoryOwner {
  readonly directory: Directory;
  readonly store: RecordStore;
  /** Where the store's files are. */
  readonly folder: string;
  readonly files: Files;
  /** Containers whose entries the daemon writes itself: no import touches them. */
  readonly ownEntries: readonly string[];
  /** Which key the addresses of recipients are hashed with. */
  readonly addressKeyId?: () => string | undefined;
}

/** What describes a backup beyond the store's own list of files. */
export const BACKUP_ABOUT = 'postern.json';

const searchBody = z.strictObject({
  base: z.string().default(''),
  scope: z.enum(['base', 'one', 'subtree']).default('subtree'),
  sizeLimit: z.int().min(0).default(1000),
  filter: z.string().default('(objectClass=*)'),
  attributes: z.array(z.string()).default([]),
});
const exportBody = z.strictObject({ base: z.string().default(''), changes: z.boolean().default(false) });
const backupBody = z.strictObject({ folder: z.string().startsWith('/') });

/** Where the directory is somebody's server: its own tools look at it. */
export function noDirectoryHere(app: Hono, url: string): void {
  app.all('/v1/directory/*', () => {
    throw new PosternError('refused', `the configuration directory of this hub is at ${url}`, {
      hint: `use the tools of that server: ldapsearch -H ${url}`,
    });
  });
}

export function directoryRoutes(app: Hono, options: DirectoryRoutesOptions): void {
  const { role, name, directory, store, files, folder } = options;
  const owner: DirectoryOwner = { role, name };

  app.get('/v1/directory/alive', (context) => context.json(owner));

  app.post('/v1/directory/search', async (context) => {
    const query = await parseBody(context, searchBody);
    const ids = await findForText(directory, query);
    return streamText(context, async (stream) => {
      await writeText(directory, ids, query, (text) => stream.write(text));
    });
  });

  app.post('/v1/directory/export', async (context) => {
    const { base, changes } = await parseBody(context, exportBody);
    const ids = subtreeForText(directory, base);
    return streamText(context, async (stream) => {
      await stream.write('version: 1\n\n');
      const style = { attributes: ['*', '+'], changes };
      const count = await writeText(directory, ids, style, (text) => stream.write(text));
      // A file that was cut off can be told by what is missing here.
      await stream.write(`# end: ${count} entries\n`);
    });
  });

  app.post('/v1/directory/import', async (context) => {
    const { line = '1', replace, check } = context.req.query();
    const bytes = Buffer.from(await context.req.arrayBuffer());
    const piece = { bytes, line: Number(line), replace: replace === 'true', check: check === 'true' };
    if (!Number.isSafeInteger(piece.line) || piece.line < 1)
      throw new PosternError('usage', 'line is no line number');
    return context.json(await importPiece(options, piece));
  });

  app.post('/v1/directory/verify', async (context) => {
    const { entries, problems } = await directory.verify();
    let found: Omit<StoreVerifyDocument, 'role' | 'name'>;
    try {
      const report = await store.verify();
      found = { sound: problems.length === 0, entries, ...report, problems };
    } catch (error) {
      if (!isPosternError(error, 'store.damaged')) throw error;
      const damage = `${error.message}${error.hint === undefined ? '' : ` (${error.hint})`}`;
      found = { sound: false, entries, records: 0, groups: 0, bytes: 0, problems: [damage, ...problems] };
    }
    return context.json({ ...owner, ...found } satisfies StoreVerifyDocument);
  });

  app.get('/v1/directory/stats', async (context) => {
    const { entries, indexBytes, store: figures } = directory.stats;
    const document: StatsDocument = {
      ...owner,
      entries,
      containers: containers(directory),
      indexBytes,
      store: figures,
      folder,
      files: await listFiles(files, folder),
    };
    return context.json(document);
  });

  app.post('/v1/directory/compact', async (context) =>
    context.json({ ...owner, ...(await store.compact()) } satisfies CompactDocument),
  );

  app.post('/v1/directory/backup', async (context) => {
    const { folder: to } = await parseBody(context, backupBody);
    const backup = await store.backup(to);
    const addressKeyId = options.addressKeyId?.();
    const document: BackupDocument = {
      format: 1,
      product: `Postern ${VERSION}`,
      ...owner,
      entries: directory.database.size,
      ...(addressKeyId !== undefined && { addressKeyId }),
      backup,
    };
    await replaceFile(
      files,
      join(to, BACKUP_ABOUT),
      Buffer.from(`${JSON.stringify(document, undefined, 2)}\n`),
    );
    return context.json(document);
  });
}

/** The naming contexts and what is directly below them, if that has children. */
function containers(directory: Directory): StatsDocument['containers'] {
  const { tree, contexts } = directory.database;
  const found: { dn: string; children: number }[] = [];
  for (const { dn } of contexts) {
    const top = directory.resolve(dn);
    if (top === 0) continue;
    found.push({ dn, children: tree.childCount(top) });
    if (tree.childCount(top) > 100) continue;
    for (let child = tree.firstChild(top); child !== 0; child = tree.nextSibling(child)) {
      const children = tree.childCount(child);
      if (children > 0) found.push({ dn: directory.database.dnText(child), children });
    }
  }
  return found;
}

async function listFiles(files: Files, folder: string): Promise<{ name: string; bytes: number }[]> {
  const found: { name: string; bytes: number }[] = [];
  for (const name of (await files.list(folder)).sort()) {
    if (!/^(snapshot|journal)\.\d+$/.test(name)) continue;
    try {
      const file = await files.open(join(folder, name), 'read');
      found.push({ name, bytes: await file.size() });
      await file.close();
    } catch {
      // A snapshot has just taken its place.
    }
  }
  return found;
}
