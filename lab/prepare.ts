/** What a guest needs of us in its work folder: the programs it runs, bundled, and the keys of its hosts. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

/** Emulated processors take 8 s to strip the types of all our modules, 3 s to load what esbuild made of them. */
export async function preparePrograms(top: string, work: string, withPostern: boolean): Promise<void> {
  const common = {
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    logLevel: 'error',
    outExtension: { '.js': '.mjs' },
    banner: {
      js: "import{createRequire as _require}from'node:module';const require=_require(import.meta.url);",
    },
  } as const;
  await build({ ...common, entryPoints: [join(top, 'lab/guest/main.ts')], outdir: join(work, 'program') });
  if (!withPostern) return;
  await build({
    ...common,
    entryPoints: [join(top, 'src/cli/main.ts')],
    splitting: true,
    outdir: join(work, 'program/postern'),
  });
  mkdirSync(join(work, 'program/bin'));
  const postern = join(work, 'program/bin/postern');
  writeFileSync(
    postern,
    '#!/bin/sh\nexec /mnt/node/node --single-threaded /mnt/program/postern/main.mjs "$@"\n',
  );
  chmodSync(postern, 0o755);
}

/** Nodes with a key each, and the virtual server whose identity its two nodes have, with a key each. */
const IDENTITIES: readonly [file: string, name: string][] = [
  ['front', 'front.lab.example'],
  ['back1', 'back1.lab.example'],
  ['back2', 'back2.lab.example'],
  ['virtual1', 'back.lab.example'],
  ['virtual2', 'back.lab.example'],
  ['rogue', 'back.lab.example'],
];

/** `/mnt/program/identities/NAME.{key,pem}`. */
export function prepareIdentities(work: string): void {
  const folder = join(work, 'program/identities');
  mkdirSync(folder, { recursive: true });
  for (const [file, name] of IDENTITIES) {
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-noenc',
        '-days',
        '3650',
        '-subj',
        `/CN=${name}`,
        '-addext',
        `subjectAltName=DNS:${name}`,
        // Otherwise charon takes it for a certificate authority.
        '-addext',
        'basicConstraints=critical,CA:FALSE',
        '-keyout',
        join(folder, `${file}.key`),
        '-out',
        join(folder, `${file}.pem`),
      ],
      { stdio: 'ignore' },
    );
  }
}

/** `/mnt/program/ssh/{host,operator}`: keys of OpenSSH. */
export function prepareSshKeys(work: string): void {
  const folder = join(work, 'program/ssh');
  mkdirSync(folder);
  for (const name of ['host', 'operator'])
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, name)]);
}
