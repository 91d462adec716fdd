/**
 * A piece of LDIF into the embedded directory: all of it, as one group of changes that is on the disk when this returns, or nothing of it. Decides what an
 * administrator may bring in: no secrets, and nothing that the daemon writes itself.
 */
import type { ImportCounts } from '../admin/directory-documents.ts';
import { PosternError } from '../base/error.ts';
import type { Directory, Update } from '../directory/directory.ts';
import type { CommitOutcome } from '../directory/update/commit.ts';
import { type LdifUpdate, readLdifUpdate } from '../ldap/ldif-change.ts';
import { LdifLines } from '../ldap/ldif-lines.ts';
import type { AddRequest, Attribute } from '../ldap/message.ts';
import { resultName } from '../ldap/result-code.ts';

export interface ImportOptions {
  readonly directory: Directory;
  /** Containers whose entries the daemon writes itself. */
  readonly ownEntries: readonly string[];
}

export interface ImportPiece {
  readonly bytes: Buffer;
  /** Number of its first line. */
  readonly line: number;
  /** Entries that are there with another content are replaced; refused unless told. */
  readonly replace: boolean;
  /** Only read it. */
  readonly check: boolean;
}

type Counted = keyof ImportCounts;

/** Throws `decode`, `refused` and `ldap.result`, each with the line. */
export async function importPiece(options: ImportOptions, piece: ImportPiece): Promise<ImportCounts> {
  const { directory } = options;
  const lines = new LdifLines(undefined, piece.line);
  const records = [...lines.push(piece.bytes), ...lines.end()].map(readLdifUpdate);
  const counts = { added: 0, replaced: 0, changed: 0, unchanged: 0, leftAlone: 0 };
  const updates: Update[] = [];
  const lineOf = new Map<Update, number>();
  for (const record of records) {
    const judged = judge(options, piece, record);
    counts[judged.as]++;
    if (judged.update === undefined) continue;
    updates.push(judged.update);
    lineOf.set(judged.update, record.line);
  }
  if (piece.check || updates.length === 0) return counts;
  const outcome = await new Promise<CommitOutcome>((done) => {
    directory.committer.submit({ session: directory.system, updates, inTransaction: true, ask: false, done });
  });
  if (outcome.ok) return counts;
  const { failed, result } = outcome;
  const line = failed === undefined ? piece.line : (lineOf.get(failed) ?? piece.line);
  const why = result.diagnostic === '' ? resultName(result.code) : result.diagnostic;
  throw new PosternError('ldap.result', `LDIF line ${line}: ${failed?.request.dn ?? ''}: ${why}`, {
    fields: { line, resultCode: result.code, dn: failed?.request.dn },
    ...(result.code === NO_SUCH_OBJECT && { hint: 'the entry above it has to come first' }),
  });
}

const NO_SUCH_OBJECT = 32;

function judge(
  options: ImportOptions,
  { replace, check }: ImportPiece,
  { kind, request, line }: LdifUpdate,
): { as: Counted; update?: Update } {
  const { directory, ownEntries } = options;
  const name = directory.database.names.tryRead(request.dn);
  if (name === undefined)
    throw new PosternError(
      'decode',
      `LDIF line ${line}: ${request.dn.slice(0, 200)} is no name of an entry`,
      {
        fields: { line },
      },
    );
  const at = directory.database.nearest(name);
  const isOwn = (id: number): boolean =>
    ownEntries.some((dn) => directory.database.tree.isWithin(id, directory.resolve(dn)));
  if (request.op === 'modifyDnRequest' && request.newSuperior !== undefined) {
    const superior = directory.database.names.tryRead(request.newSuperior);
    if (superior !== undefined && isOwn(directory.database.nearest(superior)))
      throw refused(line, `entries below ${ownEntries.join(' and ')} are written by the daemon alone`);
  }
  if (isOwn(at)) {
    if (kind === 'content') return { as: 'leftAlone' };
    throw refused(line, `entries below ${ownEntries.join(' and ')} are written by the daemon alone`);
  }
  if (request.op === 'modifyRequest') {
    for (const { attribute } of request.changes) refuseSecret(directory, attribute.type, line);
    return { as: 'changed', update: { request } };
  }
  if (request.op !== 'addRequest') return { as: 'changed', update: { request } };
  for (const { type } of request.attributes) refuseSecret(directory, type, line);
  const add: AddRequest = {
    ...request,
    attributes: request.attributes.filter(({ type }) => !isMadeByServer(directory, type)),
  };
  if (kind === 'change') return { as: 'changed', update: { request: add } };
  const existing = check ? undefined : directory.readEntry(directory.database.resolve(name));
  if (existing === undefined) return { as: 'added', update: { request: add } };
  const secrets = existing.attributes().filter(({ type }) => isSecret(directory, type));
  const own = existing.attributes().filter(({ type }) => !isSecret(directory, type));
  if (sameContent(own, add.attributes)) return { as: 'unchanged' };
  if (!replace)
    throw refused(
      line,
      `${request.dn} is there already, with another content`,
      'to replace such entries: --replace',
    );
  // What was never exported must not be lost by being replaced.
  return {
    as: 'replaced',
    update: { request: { ...add, attributes: [...add.attributes, ...secrets] }, idempotent: true },
  };
}

function refused(line: number, message: string, hint?: string): PosternError {
  return new PosternError('refused', `LDIF line ${line}: ${message}`, {
    fields: { line },
    ...(hint !== undefined && { hint }),
  });
}

function refuseSecret(directory: Directory, description: string, line: number): void {
  if (!isSecret(directory, description)) return;
  throw refused(line, `${description.split(';')[0]} is a secret: it can only be restored from a backup`);
}

/** `description`: with options or without, by name or OID. */
export function isSecret({ schema, access }: Directory, description: string): boolean {
  const type = schema.attributeType(description.split(';')[0] ?? '');
  return type !== undefined && access.isSecret(type);
}

/** Operational and computed attributes: an export shows them, an import makes them anew. */
function isMadeByServer({ schema, computed }: Directory, description: string): boolean {
  const type = schema.attributeType(description.split(';')[0] ?? '');
  return type !== undefined && (type.noUserModification || computed.has(type));
}

function sameContent(a: readonly Attribute[], b: readonly Attribute[]): boolean {
  return contentKey(a) === contentKey(b);
}

function contentKey(attributes: readonly Attribute[]): string {
  return attributes
    .map(
      ({ type, values }) =>
        `${type.toLowerCase()}:${values
          .map((v) => v.toString('base64'))
          .sort()
          .join()}`,
    )
    .sort()
    .join('\n');
}
