/**
 * strongswan.conf as charon reads it: sections, settings, includes. Only reading, and bounded; charon has no command that tells its settings. Pure but
 * for the files handed in.
 */
import { dirname, isAbsolute, join } from 'node:path';
import { PosternError } from '../../base/error.ts';
import type { Files } from '../../base/files.ts';

/** Values by their full names: `charon.plugins.vici.socket`. */
export type StrongswanSettings = ReadonlyMap<string, string>;

const MOST_FILES = 200;
const MOST_FILE_BYTES = 1 << 20;
const MOST_DEPTH = 10;

/** A file that is not there has no settings, as for charon. Throws `ipsec.settings` for one that cannot be read or is none. */
export async function readStrongswanConf(files: Files, path: string): Promise<StrongswanSettings> {
  const settings = new Map<string, string>();
  await readInto(files, path, '', settings, { files: 0 }, 0);
  return settings;
}

interface Budget {
  files: number;
}

async function readInto(
  files: Files,
  path: string,
  prefix: string,
  settings: Map<string, string>,
  budget: Budget,
  depth: number,
): Promise<void> {
  if (!(await files.exists(path))) return;
  budget.files += 1;
  if (budget.files > MOST_FILES || depth > MOST_DEPTH) throw unusable(path, 'too many files are included');
  const bytes = await files.readFile(path).catch((cause: unknown) => {
    throw unusable(path, 'it cannot be read', cause);
  });
  if (bytes.length > MOST_FILE_BYTES) throw unusable(path, 'it is too large');
  for (const item of items(bytes.toString('utf8'), path)) {
    const name = [prefix, item.name].filter((part) => part !== '').join('.');
    if (item.kind === 'setting') settings.set(name, item.value);
    else
      for (const each of await matching(
        files,
        isAbsolute(item.value) ? item.value : join(dirname(path), item.value),
      ))
        await readInto(files, each, name, settings, budget, depth + 1);
  }
}

/** A `*` may stand in the last part of the path. */
async function matching(files: Files, pattern: string): Promise<string[]> {
  const last = pattern.slice(pattern.lastIndexOf('/') + 1);
  if (!last.includes('*')) return [pattern];
  const folder = dirname(pattern);
  const escaped = last.replace(/[^\w*]/g, '\\$&').replaceAll('*', '.*');
  const names = await files.list(folder).catch((): string[] => []);
  return names
    .filter((name) => new RegExp(`^${escaped}$`).test(name))
    .sort()
    .map((name) => join(folder, name));
}

interface Item {
  readonly kind: 'setting' | 'include';
  /** Full name within the file; of an include, the section that it stands in. */
  readonly name: string;
  readonly value: string;
}

const TOKEN =
  /#[^\n]*|[ \t\r]+|(\n)|([{}])|=[ \t]*(?:"((?:[^"\\]|\\[^])*)"|([^\n{}#"]*))|include[ \t]+([^\n#{}]+)|([^\s{}=#]+)/y;

function* items(text: string, path: string): Generator<Item> {
  const sections: string[] = [];
  let name: string | undefined;
  // One's own: an included file is read while this one is not at its end.
  const token = new RegExp(TOKEN);
  while (token.lastIndex < text.length) {
    const match = token.exec(text);
    if (match === null) throw unusable(path, 'it is not in the form of strongswan.conf');
    const [whole, , bracket, quoted, plain, include, word] = match;
    const within = sections.join('.');
    if (bracket === '{') {
      sections.push(name ?? '');
      name = undefined;
    } else if (bracket === '}') {
      if (sections.pop() === undefined) throw unusable(path, 'a section ends that was not begun');
    } else if (whole.startsWith('=')) {
      if (name === undefined) throw unusable(path, 'a value without a name');
      const value = quoted?.replace(/\\([^])/g, '$1') ?? (plain ?? '').trim();
      yield { kind: 'setting', name: [...sections, name].join('.'), value };
      name = undefined;
    } else if (include !== undefined) {
      yield { kind: 'include', name: within, value: include.trim() };
    } else if (word !== undefined) {
      // `name : reference` takes over another section: none of the settings that matter here come that way in practice.
      name ??= word;
    }
  }
  if (sections.length > 0) throw unusable(path, 'a section is not ended');
}

function unusable(path: string, why: string, cause?: unknown): PosternError {
  return new PosternError('ipsec.settings', `charon's settings in ${path} cannot be used: ${why}`, {
    hint: 'charon itself logs what it thinks of the file when it starts',
    fields: { path },
    ...(cause === undefined ? {} : { cause }),
  });
}
