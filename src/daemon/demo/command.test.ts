import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../base/clock.ts';
import { commandLine, runCommand } from './command.ts';
import type { DemoHost } from './site.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-command-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function host(script: string): Promise<DemoHost> {
  const postern = join(folder, 'postern');
  await writeFile(postern, `#!/bin/sh\n${script}\n`);
  await chmod(postern, 0o755);
  return { name: 'hub1', role: 'hub', folder, data: folder, configFile: '', postern };
}

const options = { clock: systemClock, signal: new AbortController().signal };

describe('a shown command', () => {
  it.each([
    [['status'], 'postern status'],
    [['import', 'a.xml', '--x', 'AB CD'], "postern import a.xml --x 'AB CD'"],
    [['add', '--recipient-delimiter', '+'], 'postern add --recipient-delimiter +'],
    [["it's", ''], "postern 'it'\\''s' ''"],
  ])('%j is typed as %s', (words, line) => expect(commandLine(words)).toBe(line));

  it('runs in the folder of its host, and any exit code is a result', async () => {
    const outcome = await runCommand(
      await host('pwd; echo "$2" >&2; exit 3'),
      ['lookup', 'two words'],
      options,
    );
    expect(outcome).toEqual({ exitCode: 3, stdout: `${folder}\n`, stderr: 'two words\n' });
  });

  it('ends when the demo does', async () => {
    const abort = new AbortController();
    const running = runCommand(await host('exec sleep 1000'), ['status'], {
      ...options,
      signal: abort.signal,
    });
    abort.abort('SIGINT');
    await expect(running).rejects.toThrow(expect.objectContaining({ code: 'canceled' }));
    await expect(runCommand(await host('true'), [], { ...options, signal: abort.signal })).rejects.toThrow(
      'canceled',
    );
  });

  it('that cannot be run is an error', async () => {
    const nobody = { ...(await host('true')), postern: join(folder, 'nothing') };
    await expect(runCommand(nobody, [], options)).rejects.toThrow('cannot run');
  });
});
