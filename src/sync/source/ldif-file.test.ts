import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { guidText } from '../recipient.ts';
import { GuidLines } from './guid-lines.ts';
import { ldifFeed } from './ldif-file.ts';
import type { FeedEvent } from './source.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-ldif-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

let files = 0;
async function file(text: string): Promise<string> {
  const path = join(folder, `${files++}.ldif`);
  await writeFile(path, text);
  return path;
}

async function read(path: string, cookie?: Buffer): Promise<FeedEvent[]> {
  const events: FeedEvent[] = [];
  const feed = ldifFeed({ path, mapping: 'm' });
  for await (const some of feed.follow(cookie, new AbortController().signal)) events.push(...some);
  return events;
}

function words(events: readonly FeedEvent[]): string[] {
  return events.map((event) =>
    event.kind === 'upsert'
      ? `${event.entry.dn}: ${event.entry.attributes.get('mail')?.join(' ')}`
      : event.kind === 'complete'
        ? `complete${event.sweep ? ', sweep' : ''}`
        : event.kind,
  );
}

const ANNA = 'dn: cn=Anna,dc=x\nobjectClass: person\nmail: anna@x.org\n\n';
const BERT = 'dn: cn=Bert,dc=x\nMAIL;lang-de: b@x.org\nmail: bert@x.org\n';

describe('an LDIF file', () => {
  test('is one complete pass, and nothing to do until it changes', async () => {
    const path = await file(`version: 1\n${ANNA}${BERT}`);
    const events = await read(path);
    expect(words(events)).toEqual([
      'cn=Anna,dc=x: anna@x.org',
      'cn=Bert,dc=x: b@x.org bert@x.org',
      'complete, sweep',
    ]);
    const last = events.at(-1);
    const cookie = last?.kind === 'complete' ? last.cookie : undefined;
    expect(words(await read(path, cookie))).toEqual(['complete']);
    await writeFile(`${path}.new`, ANNA);
    await rename(`${path}.new`, path);
    expect(words(await read(path, cookie))).toEqual(['cn=Anna,dc=x: anna@x.org', 'complete, sweep']);
  });

  test('gives GUIDs by entryUUID, objectGUID, or the name', async () => {
    const uuid = '00112233-4455-6677-8899-aabbccddeeff';
    const object = Buffer.from('ffeeddccbbaa99887766554433221100', 'hex');
    const path = await file(
      [
        `dn: cn=a\nentryUUID: ${uuid}\n`,
        `dn: cn=b\nobjectGUID:: ${object.toString('base64')}\n`,
        'dn: cn=c\nentryUUID: nonsense\n',
        'dn: cn=d\nobjectGUID: short\n',
      ].join('\n'),
    );
    const guids = (await read(path)).flatMap((event) => (event.kind === 'upsert' ? [event.entry.guid] : []));
    expect(guids.slice(0, 2).map(guidText)).toEqual([uuid, guidText(object)]);
    expect(guids.map(({ length }) => length)).toEqual([16, 16, 16, 16]);
    expect(guids[2]).not.toEqual(guids[3]);
    const other = await file('dn: CN=C\ndescription: the same name\n');
    const [again] = await read(other);
    expect(again?.kind === 'upsert' && again.entry.guid).toEqual(guids[2]);
  });

  test.each([
    ['the same entry twice', `${ANNA}\n${ANNA}`, /lines 1 and 6/],
    ['a change record', 'dn: cn=a\nchangetype: delete\n', /change records/],
    ['a broken line', `${ANNA}\ndn: cn=b\nnonsense\n`, /line 7/],
    ['a broken last record', `${ANNA}\ndn: cn=b\nmail:: ***`, /base64/],
    ['nothing', '', /no entry/],
    ['nothing but comments', '# an export\nversion: 1\n', /no entry/],
  ])('%s is refused', async (_name, text, message) => {
    await expect(read(await file(text))).rejects.toMatchObject({
      code: 'source.invalid',
      message: expect.stringMatching(message),
      hint: expect.anything(),
    });
  });

  test('that is not there', async () => {
    await expect(read(join(folder, 'none'))).rejects.toMatchObject({ code: 'source.unavailable' });
  });

  test('that changes while it is read proves nothing', async () => {
    const path = await file(`${ANNA}${'# padding\n'.repeat(50_000)}\n${BERT}`);
    const arrays = ldifFeed({ path, mapping: 'm' })
      .follow(undefined, new AbortController().signal)
      [Symbol.asyncIterator]();
    expect(words((await arrays.next()).value as FeedEvent[])).toEqual(['cn=Anna,dc=x: anna@x.org']);
    await writeFile(`${path}.new`, ANNA);
    await rename(`${path}.new`, path);
    const rest = (async () => {
      for (let next = await arrays.next(); next.done !== true; next = await arrays.next());
    })();
    await expect(rest).rejects.toMatchObject({ code: 'source.incomplete' });
  });

  test('is left off when asked to', async () => {
    const path = await file(`${ANNA}${'# padding\n'.repeat(50_000)}\n${BERT}`);
    const abort = new AbortController();
    const arrays = ldifFeed({ path, mapping: 'm' }).follow(undefined, abort.signal)[Symbol.asyncIterator]();
    await arrays.next();
    abort.abort();
    await expect(arrays.next()).rejects.toMatchObject({ name: 'AbortError' });
  });
});

test('lines of GUIDs agree with a map', () => {
  const number = fc.integer({ min: 0, max: 3000 });
  fc.assert(
    fc.property(fc.array(number, { minLength: 500, maxLength: 4000 }), (numbers) => {
      const lines = new GuidLines();
      const model = new Map<number, number>();
      for (const [at, n] of numbers.entries()) {
        const guid = Buffer.alloc(16);
        guid.writeUInt32BE(n, 4);
        expect(lines.add(guid, at + 1)).toBe(model.get(n));
        if (!model.has(n)) model.set(n, at + 1);
      }
      expect(lines.size).toBe(model.size);
    }),
    { numRuns: 20 },
  );
});
