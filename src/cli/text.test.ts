import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { EdgeStatus, HubStatus } from '../admin/documents.ts';
import { createProgress } from './progress.ts';
import { readBoundedFile, writeSecretFile } from './secret-file.ts';
import { formatStatus } from './status-text.ts';
import { formatCount, formatFields, formatTable, printable } from './table.ts';

const NOW = Date.UTC(2026, 0, 2);

const EDGE: EdgeStatus = {
  version: 1,
  role: 'edge',
  name: 'edge1',
  fqdn: 'edge1.example.org',
  now: NOW,
  startedAt: NOW - 3_600_000,
  fingerprint: '00aa',
  subscribed: true,
  kinds: [
    {
      kind: 'recipients',
      loadState: 'complete',
      entries: 12_345,
      pendingRemovals: 2,
      keptRemovals: 0,
      lastConfirmed: NOW - 60_000,
    },
  ],
  lease: { state: 'held', holder: 'hub1', epoch: 3, remainingMs: 300_000 },
  accounts: [
    {
      name: 'ESRA.edge1.hub1.0',
      kind: 'esra',
      effective: NOW - 1000,
      expires: NOW + 86_400_000,
      state: 'active',
    },
  ],
  lookups: { known: 1, unknown: 2, temporary: 3, notOurs: 4 },
  connections: 1,
  memoryBytes: 100 * 2 ** 20,
  warnings: [
    {
      code: 'removals.pending',
      severity: 'warning',
      text: '2 removals\u001b[2J wait',
      mend: 'postern sync approve',
    },
  ],
};

const HUB: HubStatus = {
  version: 1,
  role: 'hub',
  name: 'hub1',
  fqdn: 'hub1.example.org',
  site: 'Main',
  now: NOW,
  startedAt: NOW - 5000,
  fingerprint: '00bb',
  source: {
    kind: 'openldap',
    instance: 'ldaps://x',
    state: 'live',
    entries: 10,
    recipients: 8,
    leftOut: 2,
    leftOutBy: { 'no-address': 1, 'left-out': 0, disabled: 1 },
    droppedAddresses: 1,
    lastChange: undefined,
    lastConfirmed: NOW,
    failure: undefined,
  },
  edges: [
    {
      edge: 'edge1',
      address: 'edge1.example.org:50636',
      state: 'NotSynchronized',
      holdsLease: false,
      lastAttempt: NOW,
      lastSuccess: undefined,
      consecutiveFailures: 2,
      failureDetail: 'nothing answers',
      pushed: 3,
      total: 8,
      pendingRemovals: 0,
      credential: '',
      credentialExpires: NOW,
    },
  ],
  domains: 1,
  memoryBytes: 1,
  warnings: [],
};

describe('status for people', () => {
  it('says the state of an edge first and its warnings last, with what mends them', () => {
    const lines = formatStatus(EDGE).split('\n');
    expect(lines[0]).toBe('edge         edge1 (edge1.example.org), up 1 h, 100 MiB');
    expect(formatStatus(EDGE)).toContain('recipients  complete  12,345   2                 1 min ago');
    expect(lines.slice(-2)).toEqual([
      'warning: 2 removals\\x1b[2J wait [removals.pending]',
      '  mend: postern sync approve',
    ]);
  });

  it('names what fails on a hub', () => {
    const text = formatStatus(HUB);
    expect(text).toContain(
      '8 of 10 entries; 2 left out (1 without an address, 1 disabled); 1 values that are no address dropped; which ones: postern source check',
    );
    expect(text).toMatch(/edge1 +NotSynchronized +- +never +2 +3\/8 +0/);
    expect(text).toContain('edge1: nothing answers');
    expect(text.endsWith('health: ok')).toBe(true);
  });

  it('an edge that was in step when the hub started has all recipients, though none was sent', () => {
    const edges = HUB.edges.map((edge) => ({ ...edge, state: 'Synchronized' as const, pushed: 0 }));
    expect(formatStatus({ ...HUB, edges })).toMatch(/edge1 +Synchronized +- +never +2 +8 +0/);
  });
});

describe('tables', () => {
  it('are as wide as their cells, however wide the letters', () => {
    expect(
      formatTable(
        ['a', 'bb'],
        [
          ['ünï', 'x'],
          ['y', 'zz'],
        ],
      ),
    ).toBe('a    bb\nünï  x\ny    zz');
    expect(
      formatFields([
        ['one', '1'],
        ['three', '3\n4'],
        ['none', undefined],
      ]),
    ).toBe('one    1\nthree  3\n       4');
    expect([formatCount(0), formatCount(999), formatCount(1_234_567)]).toEqual(['0', '999', '1,234,567']);
    expect(printable('a\u0007b\u009bc')).toBe('a\\x07b\\x9bc');
  });

  it('draw progress on a terminal only', () => {
    const written: string[] = [];
    const stream = (isTTY: boolean) => ({
      isTTY,
      columns: 80,
      write: (text: string) => void written.push(text),
    });
    createProgress(stream(false), 'x').update(1, 2);
    expect(written).toEqual([]);
    const progress = createProgress(stream(true), 'load');
    progress.update(5000, 10_000);
    progress.update(7, undefined);
    progress.end();
    expect(written[0]).toMatch(/load \[█+·+\] 5,000 of 10,000/);
    expect(written[1]).toContain('7');
    expect(written.at(-1)).toBe('\n');
  });
});

describe('files with secrets', () => {
  it('are new, for their owner only, and never overwritten', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'postern-cli-'));
    try {
      const path = join(folder, 'edge1.xml');
      await writeSecretFile(path, () => Promise.resolve({ text: 'secret' }));
      expect((await stat(path)).mode & 0o777).toBe(0o600);
      await expect(
        writeSecretFile(path, () => Promise.reject(new Error('must not be asked'))),
      ).rejects.toMatchObject({
        code: 'file.unwritable',
        message: expect.stringContaining('exists already') as string,
      });
      expect(await readFile(path, 'utf8')).toBe('secret');
      await expect(
        writeSecretFile(join(folder, 'no', 'x'), () => Promise.resolve({ text: '' })),
      ).rejects.toMatchObject({
        code: 'file.unwritable',
      });
      await writeFile(join(folder, 'big'), Buffer.alloc(200));
      await expect(readBoundedFile(join(folder, 'big'), 100)).rejects.toMatchObject({
        code: 'subscription.too-large',
      });
      await expect(readBoundedFile(join(folder, 'none'), 100)).rejects.toMatchObject({
        code: 'file.unreadable',
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
