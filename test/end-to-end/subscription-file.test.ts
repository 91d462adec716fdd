/** Subscription files that are wrong in some way, through the real command line: a clear error each, and nothing has changed. */
import { createHash } from 'node:crypto';
import { copyFile, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Secret } from '../../src/base/secret.ts';
import { stateSealingKey } from '../../src/certificate/statement.ts';
import { buildSubscriptionFile, type EdgeDescription } from '../../src/subscription/edge-subscription.ts';
import type { HubPublic } from '../../src/subscription/hub-public.ts';
import { openEdgeCopy } from '../support/data-copy.ts';
import { type CommandResult, Deployment } from '../support/deployment.ts';
import { freePorts } from '../support/slapd.ts';
import { makeEdge, makeHub } from '../support/subscription-site.ts';
import { until } from '../support/until.ts';

const HOUR = 3_600_000;
/** Of the files that are made here. */
const PASSWORD = 'Unique-marker-of-a-password-0123456789-ABCDEF';
const parts = new AsyncDisposableStack();
const said: string[] = [];
const secrets = [PASSWORD];

let site: Deployment;
/** The real edge with its real key. */
let edge: EdgeDescription;
/** What the edge's own command made, and would be accepted. */
let good: string;

beforeAll(async () => {
  site = parts.use(
    await Deployment.create(async (folder) => {
      const path = join(folder, 'people.ldif');
      await writeFile(path, 'dn: cn=a\nobjectClass: person\nmail: a@example.org\n');
      return {
        source: { kind: 'ldif', path },
        edge: { log: { level: 'debug' } },
        hub: { log: { level: 'debug' } },
      };
    }),
  );
  await site.startEdge();
  await site.startHub();
  const { edge: copy } = parts.use(await openEdgeCopy(site.edgeData, 'edge1.localhost', site.ldapsPort));
  edge = copy;
  const path = join(site.folder, 'edge1.xml');
  const created = await site.edge('subscription', 'create', path);
  said.push(created.stdout, created.stderr);
  good = await readFile(path, 'utf8');
  const password = /<ESRAPassword>(.+)<\/ESRAPassword>/.exec(good)?.[1] ?? '';
  expect(password.length).toBeGreaterThanOrEqual(32);
  secrets.push(unescaped(password));
});
afterAll(() => parts.disposeAsync());

function unescaped(text: string): string {
  return text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&apos;', "'")
    .replaceAll('&amp;', '&');
}

/** A file made with the real edge's key, some of it otherwise. */
async function made(change: {
  edge?: Partial<EdgeDescription>;
  effectiveAt?: number;
  sealTo?: HubPublic;
}): Promise<string> {
  const effectiveAt = change.effectiveAt ?? systemClock.now();
  const { bytes } = await buildSubscriptionFile(
    { ...edge, ...change.edge },
    { effectiveAt, expiresAt: effectiveAt + 2 * HOUR },
    new Secret(PASSWORD),
    change.sealTo,
  );
  return bytes.toString('utf8');
}

/** Everything that an import could change: entries of both directories, trust files of both daemons. */
async function everything(): Promise<string> {
  const lines: string[] = [];
  for (const [daemon, data] of [
    [site.edgeDaemon, site.edgeData],
    [site.hubDaemon, site.hubData],
  ] as const) {
    await daemon?.control.stream('POST', '/v1/directory/export', {}, (line) => lines.push(line));
    lines.push(...(await trustFiles(join(data, 'trust'))));
  }
  return lines.join('\n');
}

/** Name and digest of each file. The second copy of a trust store is written after the change is acknowledged: wait for it. */
function trustFiles(folder: string): Promise<string[]> {
  const read = async (): Promise<string[]> =>
    Promise.all(
      (await readdir(folder)).sort().map(async (name) => {
        const content = await readFile(join(folder, name)).catch(() => Buffer.alloc(0));
        return `${name} ${createHash('sha256').update(content).digest('hex')}`;
      }),
    );
  return until('both copies of the trust store', read, (files) => {
    const copies = files.filter((file) => file.includes('-trust.')).map((file) => file.split(' ')[1]);
    return copies.length === 2 && copies[0] === copies[1];
  });
}

async function importFile(
  content: string | Buffer,
  ...options: string[]
): Promise<CommandResult & { path: string }> {
  const path = join(site.folder, 'carried.xml');
  await writeFile(path, content, { mode: 0o600 });
  const result = await site.hub('subscription', 'import', path, ...options);
  said.push(result.stdout, result.stderr);
  return { ...result, path };
}

/** In the text of a good file, one element's text replaced. */
function withElement(text: string, element: string, change: (old: string) => string): string {
  const pattern = new RegExp(`(<${element}>)([^<]*)(</${element}>)`);
  expect(text).toMatch(pattern);
  return text.replace(pattern, (_, open: string, old: string, close: string) => open + change(old) + close);
}

const turned = (text: string): string => (text.startsWith('A') ? 'B' : 'A') + text.slice(1);

interface Case {
  readonly what: string;
  readonly file: () => Promise<string | Buffer> | string | Buffer;
  readonly options?: readonly string[];
  readonly code: string;
  readonly exitCode?: number;
  readonly says: RegExp;
}

const CASES: readonly Case[] = [
  {
    what: 'expired',
    file: () => made({ effectiveAt: systemClock.now() - 3 * HOUR }),
    code: 'subscription.expired',
    says: /expired/,
  },
  {
    what: 'not yet valid',
    file: () => made({ effectiveAt: systemClock.now() + HOUR }),
    code: 'subscription.not-yet-valid',
    says: /clock/,
  },
  {
    what: "another edge's certificate put in",
    file: async () => {
      const { identity } = (await makeEdge('edge1', 'edge1.localhost')).edge;
      return withElement(good, 'EdgeCertificateBlob', () => identity.certificate.der.toString('base64'));
    },
    code: 'subscription.tampered',
    says: /altered|signature/,
  },
  {
    what: "made throughout with another edge's key",
    file: async () => {
      const other = await makeEdge('edge1', 'edge1.localhost');
      return made({ edge: { identity: other.edge.identity, sealingStatement: other.edge.sealingStatement } });
    },
    code: 'pin.mismatch',
    says: /shows another key than the file's/,
  },
  {
    what: 'altered password',
    file: () => withElement(good, 'ESRAPassword', turned),
    code: 'subscription.tampered',
    says: /altered|signature/,
  },
  {
    what: 'altered password, everything of ours taken out',
    file: () => withElement(good, 'ESRAPassword', turned).replaceAll(/^.*<Postern\w+>.*\n/gm, ''),
    code: 'credential.invalid',
    says: /does not take the account/,
  },
  {
    what: 'altered port',
    file: () => withElement(good, 'AdamSslPort', (port) => String(Number(port) + 1)),
    code: 'subscription.tampered',
    says: /altered|signature/,
  },
  {
    what: 'altered sealing statement',
    file: () =>
      withElement(good, 'PosternSealingStatement', (text) => text.slice(0, 80) + turned(text.slice(80))),
    code: 'subscription.tampered',
    says: /altered|signature/,
  },
  {
    what: 'a sealing statement by another key, the file signed rightly',
    file: async () =>
      made({
        edge: { sealingStatement: (await makeEdge('edge1', 'edge1.localhost')).edge.sealingStatement },
      }),
    code: 'subscription.tampered',
    says: /sealing statement was not made by the edge/,
  },
  {
    what: 'a document type declaration',
    file: () => good.replace(/^(<\?xml[^\n]*\n)?/, '$1<!DOCTYPE EdgeSubscriptionData [<!ENTITY x "y">]>\n'),
    code: 'subscription.malformed',
    says: /document type|DOCTYPE/i,
  },
  {
    what: '10 MB',
    file: () => good.padEnd(10 << 20, ' '),
    code: 'subscription.too-large',
    says: /10485760 bytes/,
  },
  {
    what: 'UTF-16',
    file: () => Buffer.from(`\ufeff${good}`, 'utf16le'),
    code: 'subscription.malformed',
    says: /UTF-8|UTF-16/,
  },
  {
    what: 'ISO 8859-1',
    file: () =>
      Buffer.from(
        withElement(good, 'SerialNumber', () => 'Süd'),
        'latin1',
      ),
    code: 'subscription.malformed',
    says: /UTF-8/,
  },
  {
    what: 'cut short',
    file: () => good.slice(0, good.length / 2),
    code: 'subscription.malformed',
    says: /./,
  },
  { what: 'empty', file: () => '', code: 'subscription.malformed', says: /./ },
  {
    what: 'sealed to another hub',
    file: async () => made({ sealTo: (await makeHub('hub2')).public }),
    code: 'subscription.wrong-hub',
    says: /hub2/,
  },
  {
    what: 'another fingerprint than the one read aloud',
    file: () => good,
    options: ['--expect-fingerprint', '0123 4567 89AB CDEF '.repeat(4).trim()],
    code: 'pin.mismatch',
    says: /fingerprint|key/,
  },
  {
    what: 'a name that does not resolve',
    file: async () => made({ edge: elsewhere('no-such-edge.invalid') }),
    code: 'name.unresolvable',
    exitCode: 1,
    says: /no-such-edge\.invalid does not resolve/,
  },
  {
    what: 'a port that does not answer',
    file: async () => made({ edge: { port: (await freePorts())[0] } }),
    code: 'connect.failed',
    exitCode: 1,
    says: /resolves .* but .* does not answer/,
  },
];

function elsewhere(fqdn: string): Partial<EdgeDescription> {
  const statement = stateSealingKey(edge.identity, Buffer.alloc(32, 9), {
    subject: fqdn,
    issuedAt: systemClock.now(),
  });
  return { fqdn, sealingStatement: statement };
}

describe('a file that is refused', () => {
  it.each(CASES)('$what', async ({ file, options, code, exitCode, says }) => {
    const before = await everything();
    const result = await importFile(await file(), ...(options ?? []));
    expect(result.stderr).toContain(`[${code}]`);
    expect(result.stderr).toMatch(says);
    expect(result.stderr).toMatch(/\n {2}hint: \S/);
    expect(result.exitCode).toBe(exitCode ?? 7);
    expect(result.stdout).toBe('');
    expect(await everything()).toBe(before);
    // Whoever carried the file may need it to see what is wrong.
    expect((await stat(result.path)).size).toBeGreaterThanOrEqual(0);
  });

  it('no subscription has come of it', async () => {
    expect(JSON.parse(await site.hubOk('subscription', 'list', '--json'))).toEqual([]);
  });
});

describe('the good file', () => {
  let kept: string;

  it('inspect shows everything but the password, without a daemon', async () => {
    const path = join(site.folder, 'inspected.xml');
    await writeFile(path, good, { mode: 0o600 });
    const result = await site.hub('subscription', 'inspect', path);
    said.push(result.stdout, result.stderr);
    expect(result).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('edge1.localhost') as string,
    });
  });

  it('is imported, and both copies are deleted once it was used', async () => {
    kept = join(site.folder, 'kept.xml');
    await copyFile(join(site.folder, 'edge1.xml'), kept);
    const result = await importFile(good);
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    await expect(stat(result.path)).rejects.toThrow('ENOENT');
    said.push(await site.hubOk('sync', 'run'));
    await expect(stat(join(site.folder, 'edge1.xml'))).rejects.toThrow('ENOENT');
    const accounts = await site.edgeOk('subscription', 'show');
    expect(accounts).toContain('ESRA.edge1.hub1.0');
    expect(accounts).not.toMatch(/ESRA\.edge1$/m);
  });

  it('imported twice', async () => {
    const before = await everything();
    const result = await importFile(await readFile(kept));
    expect(result.stderr).toContain('[subscription.duplicate]');
    expect(result.exitCode).toBe(7);
    expect(await everything()).toBe(before);
  });

  it('imported again after the subscription was removed', async () => {
    await site.hubOk('subscription', 'remove', 'edge1');
    const before = await everything();
    const result = await importFile(await readFile(kept));
    expect(result.stderr).toContain('[subscription.duplicate]');
    expect(result.exitCode).toBe(7);
    expect(await everything()).toBe(before);
  });

  it("without a signature, as another product's: the edge states its sealing key in the trial session", async () => {
    said.push(await site.edgeOk('subscription', 'remove'));
    const path = join(site.folder, 'edge1.xml');
    said.push(await site.edgeOk('subscription', 'create', path));
    const plain = (await readFile(path, 'utf8')).replaceAll(/^.*<Postern\w+>.*\n/gm, '');
    expect(plain).not.toContain('<Postern');
    secrets.push(unescaped(/<ESRAPassword>(.+)<\/ESRAPassword>/.exec(plain)?.[1] ?? ''));
    const result = await importFile(plain);
    expect(result).toMatchObject({ exitCode: 0, stderr: expect.stringMatching(/not signed/) as string });
    said.push(await site.hubOk('sync', 'run'));
    expect(await site.edgeOk('subscription', 'show')).toContain('ESRA.edge1.hub1.');
  });
});

describe('secrets', () => {
  it('no password is in any output or log, at debug level', () => {
    const logs = [site.log('edge'), site.log('hub')];
    expect(logs.map((log) => log.includes('edge1'))).toEqual([true, true]);
    // The imports above have been seen by the edge: as connections, at this level.
    expect(logs[0]).toMatch(/ debug ldaps: /);
    for (const text of [...said, ...logs]) {
      for (const secret of secrets) {
        expect(text.includes(secret)).toBe(false);
        expect(text.includes(secret.slice(1))).toBe(false);
        expect(text.includes(Buffer.from(secret).toString('base64').slice(0, 20))).toBe(false);
      }
    }
  });
});
