import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemFiles } from '../base/files.ts';
import { readSchema } from './schema-files.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-schema-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function file(name: string, content: string | Buffer): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

it('own schema files come on top of ours, and may build on each other', async () => {
  const paths = [
    await file('a.schema', "attributetype ( 1.3.6.1.4.1.55555.1.1 NAME 'badge' SUP name )\n"),
    await file(
      'b.schema',
      "objectclass ( 1.3.6.1.4.1.55555.2.1 NAME 'badged' SUP top AUXILIARY MAY badge )\n",
    ),
  ];
  const schema = await readSchema(systemFiles, paths);
  expect(schema.objectClass('badged')?.may.has(schema.attributeType('badge') as never)).toBe(true);
  expect((await readSchema(systemFiles, [])).attributeType('badge')).toBeUndefined();
});

it.each([
  ['broken.schema', '\n\nattributetype ( 1.2.3', 'broken.schema, line 3, column 22: the description of'],
  [
    'ours.schema',
    "attributetype ( 2.5.4.3 NAME 'cn' SUP name SINGLE-VALUE )",
    'ours.schema, line 1, column 1: cn: OID',
  ],
  ['octets.schema', Buffer.from([0xff, 0xfe]), 'octets.schema cannot be read'],
  [
    'large.schema',
    Buffer.alloc(4_000_001, ' '),
    'large.schema, line 1, column 4000001: the text is too long',
  ],
])('%s is refused: %s', async (name, content, message) => {
  const path = await file(name, content);
  await expect(readSchema(systemFiles, [path])).rejects.toThrow(
    expect.objectContaining({ code: 'schema.invalid', message: expect.stringContaining(message) }),
  );
});

it('a file that is not there is named', async () => {
  await expect(readSchema(systemFiles, [join(folder, 'none')])).rejects.toThrow('none cannot be read');
});
