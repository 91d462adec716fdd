/** `npm run demo` as somebody on a fresh machine runs it: it shows what it should, and however it ends nothing of it is left. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { DemoReport } from '../../src/daemon/demo.ts';
import { top } from '../tree/source-files.ts';
import { until } from '../support/until.ts';

let folder = '';
/** Shared by all the demos here: it saves each of them the stripping of types. */
let cache = '';
const running = new Set<Demo>();
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'postern-demo-cache-'));
});
afterAll(() => rm(cache, { recursive: true, force: true }));
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-demo-test-'));
});
afterEach(async () => {
  for (const demo of running) demo.signal('SIGKILL');
  running.clear();
  for (const pid of processes()) process.kill(pid, 'SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

/** Processes that were started with something below our folder. */
function processes(role = ''): number[] {
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name);
    if (!Number.isInteger(pid)) return [];
    try {
      const words = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      return words.some((word) => word.startsWith(folder)) && (role === '' || words.includes(role))
        ? [pid]
        : [];
    } catch {
      return [];
    }
  });
}

/** A demo whose temporary files are in our folder, in a process group of its own as from a terminal. */
class Demo {
  readonly #child: ChildProcess;
  readonly ended: Promise<number | NodeJS.Signals | null>;
  stdout = '';
  stderr = '';

  constructor(command: string, words: readonly string[]) {
    const child = spawn(command, words, {
      cwd: top,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, TMPDIR: folder, NO_COLOR: '', NODE_COMPILE_CACHE: cache },
    });
    this.#child = child;
    child.stdout.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.ended = new Promise((resolve) => child.once('close', (code, signal) => resolve(code ?? signal)));
    running.add(this);
    void this.ended.then(() => running.delete(this));
  }

  /** To the whole group, as Ctrl-C. */
  signal(name: NodeJS.Signals): void {
    if (this.#child.pid !== undefined) process.kill(-this.#child.pid, name);
  }

  stopReading(): void {
    this.#child.stdout?.destroy();
  }

  async shows(text: string): Promise<void> {
    const ended = this.ended.then(() => true);
    await until(
      `the demo shows "${text}"`,
      async () => this.stdout.includes(text) || (await Promise.race([ended, false])),
      (so) => so,
    );
    if (!this.stdout.includes(text)) throw new Error(`the demo ended early:\n${this.stdout}\n${this.stderr}`);
  }
}

const demo = (...words: string[]): Demo => new Demo('sh', ['scripts/demo', '--recipients', '100', ...words]);

const FIGURES = [
  'first-load-ms',
  'first-load-rate',
  'socketmap-answer-median-ms',
  'ldap-answer-median-ms',
  'socketmap-rate',
  'ldap-rate',
  'change-add-median-ms',
  'change-alias-median-ms',
  'change-rename-median-ms',
  'change-delete-median-ms',
  'change-to-answer-median-ms',
  'edge-rss-mib',
  'hub-rss-mib',
];

describe('npm run demo', () => {
  it('shows everything once, checks it, and leaves nothing behind', async () => {
    const words = 'run --silent demo -- --once --recipients 500 --json';
    const npm = new Demo('npm', words.split(' '));
    expect([await npm.ended, npm.stderr]).toEqual([
      0,
      expect.stringContaining('All answers were as expected'),
    ]);
    expect(npm.stdout.trimEnd().split('\n')).toHaveLength(1);
    const report = JSON.parse(npm.stdout) as DemoReport;
    expect(report).toMatchObject({
      version: 1,
      recipients: 500,
      verify: [{ edge: 'edge1', equal: true, level: 'content', edgeCount: 500, hubCount: 500 }],
      status: {
        edge: { subscribed: true, warnings: [], lease: { state: 'held', holder: 'hub1' } },
        hub: { warnings: [], edges: [{ state: 'Synchronized', holdsLease: true }] },
      },
    });
    expect(report.figures.map((figure) => figure.name)).toEqual(FIGURES);
    for (const { name, value } of report.figures) expect([name, value > 0]).toEqual([name, true]);
    for (const { question, socketmap, ldap } of report.questions) {
      expect(socketmap.verdict).toBe(question.expected);
      if (question.searches.length > 0) expect(ldap?.verdict).toBe(question.expected);
    }
    expect(report.bulk.known.asked).toBe(report.addresses);
    expect(report.changes.map(({ count }) => count)).toEqual([5, 5, 5, 5]);
    // The bootstrap account went with its first proving bind; only the hub's own is left.
    expect(report.status.edge.accounts.map((account) => account.name)).toEqual(['ESRA.edge1.hub1.0']);
    expect(npm.stderr).not.toContain('\x1b');
    expect([processes(), await readdir(folder)]).toEqual([[], []]);
  });

  it.each([
    ['while it starts', '1. Start', 'SIGINT', 130],
    ['while it sets up', '2. Accepted domains', 'SIGHUP', 130],
    ['while it subscribes', '3. Subscription', 'SIGTERM', 130],
    ['while it goes on running', 'Ctrl-C ends it', 'SIGINT', 0],
  ] as const)('ended %s, leaves nothing behind', async (_when, text, signal, code) => {
    const interrupted = demo();
    await interrupted.shows(text);
    interrupted.signal(signal);
    expect([await interrupted.ended, interrupted.stderr]).toEqual([
      code,
      code === 0 ? '' : 'postern: the demo was interrupted; nothing of it is left\n',
    ]);
    expect([processes(), await readdir(folder)]).toEqual([[], []]);
  });

  it('ends when nobody reads it any more, and leaves nothing behind', async () => {
    const unread = demo();
    await unread.shows('2. Accepted domains');
    unread.stopReading();
    expect(await unread.ended).toBe(130);
    expect([processes(), await readdir(folder)]).toEqual([[], []]);
  });

  it('killed, takes its daemons along', async () => {
    const killed = demo();
    await killed.shows('2. Accepted domains');
    expect(processes('run').length).toBe(2);
    killed.signal('SIGKILL');
    await until(
      'daemons left over',
      () => processes('run'),
      (left) => left.length === 0,
    );
  });

  it('fails when a daemon dies, and says which', async () => {
    const bereft = demo();
    await bereft.shows('Ctrl-C ends it');
    for (const pid of processes('hub')) process.kill(pid, 'SIGKILL');
    expect(await bereft.ended).toBe(1);
    expect(bereft.stderr).toContain('the hub daemon ended (SIGKILL)');
    expect(bereft.stdout).toContain('the end of the hub’s log');
    expect([processes(), await readdir(folder)]).toEqual([[], []]);
  });

  it.each(['5', '1e9', 'many'])('refuses to show %s recipients', async (recipients) => {
    const refused = demo('--once', '--recipients', recipients);
    expect(await refused.ended).toBe(2);
    expect(refused.stdout).toBe('');
    expect(await readdir(folder)).toEqual([]);
  });
});
