/** The administrator's own schema files (`[directory] schema` of the configuration), read on top of ours. */
import type { Files } from '../base/files.ts';
import { PosternError } from '../base/error.ts';
import type { Schema, SchemaText } from '../directory/schema/schema.ts';
import { standardSchema } from '../directory/schema/standard.ts';

const LONGEST_FILE = 4_000_000;

/** Throws `schema.invalid`, with file, line and column where it can. */
export async function readSchema(files: Files, paths: readonly string[]): Promise<Schema> {
  const texts: SchemaText[] = [];
  for (const path of paths) texts.push({ name: path, text: await readText(files, path) });
  return standardSchema(texts);
}

async function readText(files: Files, path: string): Promise<string> {
  try {
    const file = await files.open(path, 'read');
    try {
      const buffer = Buffer.alloc(Math.min(await file.size(), LONGEST_FILE + 1));
      const length = await file.read(buffer, 0);
      return new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, length));
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new PosternError('schema.invalid', `schema file ${path} cannot be read`, {
      hint: 'the file has to exist, to be UTF-8 text and readable for the daemon, and may not be a symbolic link',
      cause: error,
    });
  }
}
