import { mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemFiles } from './files.ts';

test('a file is written at once or through to the disk, also after it got another name', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'files-'));
  try {
    const file = await systemFiles.open(join(folder, 'a'), 'create');
    await file.write(Buffer.from('one two three'), 0);
    await rename(join(folder, 'a'), join(folder, 'b'));
    await file.writeThrough(Buffer.from('TWO'), 4);
    await file.writeThrough(Buffer.from(' four'), 13);
    expect((await readFile(join(folder, 'b'))).toString()).toBe('one TWO three four');
    expect(await file.size()).toBe(18);
    await file.close();
    await expect(file.writeThrough(Buffer.from('x'), 0)).rejects.toMatchObject({ code: 'EBADF' });
    const readOnly = await systemFiles.open(join(folder, 'b'), 'read');
    await expect(readOnly.write(Buffer.from('x'), 0)).rejects.toMatchObject({ code: 'EBADF' });
    await readOnly.close();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
