/** The organisation directory of the benchmarks: a real slapd with people, loaded by slapadd from a file of any size. */
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { systemClock } from '../../src/base/clock.ts';
import { runTool, Slapd } from '../../test/support/slapd.ts';
import { peopleLdif } from '../people.ts';

const SUFFIX = 'dc=example,dc=org';

/** A started slapd with `count` people below `ou=people`; it does not flush its own changes, so that its disk is not what is measured. */
export async function startOrganisation(count: number): Promise<Slapd> {
  const slapd = await Slapd.create({
    suffix: SUFFIX,
    syncprov: { sessionlog: 10_000 },
    maxSizeBytes: 8 * 2 ** 30,
    indexes: ['uid'],
    databaseConfig: ['checkpoint 0 0'],
  });
  try {
    const path = join(slapd.folder, 'people.ldif');
    await writePeople(path, count);
    await runTool('slapadd', ['-q', '-f', join(slapd.folder, 'slapd.conf'), '-l', path]);
    await rm(path);
    await slapd.start();
    return slapd;
  } catch (error) {
    await slapd[Symbol.asyncDispose]();
    throw error;
  }
}

/** An LDIF file of `count` people and the unit above them. */
export async function writePeople(path: string, count: number): Promise<void> {
  await pipeline(Readable.from(ldif(count)), createWriteStream(path));
}

function* ldif(count: number): Generator<string> {
  yield `dn: ou=people,${SUFFIX}\nobjectClass: organizationalUnit\nou: people\n\n`;
  yield* peopleLdif(count, SUFFIX);
}

/** Milliseconds that `work` took. */
export async function timed<T>(work: () => Promise<T>): Promise<{ readonly ms: number; readonly value: T }> {
  const start = systemClock.monotonic();
  const value = await work();
  return { ms: systemClock.monotonic() - start, value };
}
