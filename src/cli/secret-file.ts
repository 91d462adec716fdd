/** Files with secrets: created new, 0600, flushed; read only after a look at their size. */
import { open, stat, unlink } from 'node:fs/promises';
import { PosternError } from '../base/error.ts';

/**
 * Makes the file, empty, before `content` is asked for: what cannot be written must not have been made. Refuses to overwrite: an existing file may
 * be somebody's only copy. When `content` fails, the file is taken away again.
 */
export async function writeSecretFile<T extends { readonly text: string }>(
  path: string,
  content: () => Promise<T>,
): Promise<T> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, 'wx', 0o600);
  } catch (cause) {
    const exists = (cause as { code?: string }).code === 'EEXIST';
    throw new PosternError('file.unwritable', exists ? `${path} exists already` : `cannot create ${path}`, {
      cause,
      hint: exists
        ? 'delete it or choose another name; a file of an earlier subscription is of no use'
        : 'check that the folder exists and may be written',
    });
  }
  try {
    const made = await content();
    await file.writeFile(made.text);
    await file.sync();
    return made;
  } catch (error) {
    await unlink(path).catch(() => undefined);
    throw error;
  } finally {
    await file.close();
  }
}

/** Reads a text file of at most `most` bytes, as raw octets (the reader checks the encoding). */
export async function readBoundedFile(path: string, most: number): Promise<Buffer> {
  try {
    const { size } = await stat(path);
    if (size > most)
      throw new PosternError(
        'subscription.too-large',
        `${path} has ${size} bytes; at most ${most} are read`,
        { hint: 'this is not a subscription file' },
      );
    const file = await open(path, 'r');
    try {
      return await file.readFile();
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof PosternError) throw cause;
    throw new PosternError('file.unreadable', `cannot read ${path}`, {
      cause,
      hint: 'check the name and the permissions of the file',
    });
  }
}
