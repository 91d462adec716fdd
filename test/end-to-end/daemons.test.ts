/** Daemons and commands as an administrator meets them: a second daemon, stopping, exit codes, what is shown, what never is. */
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Identity } from '../../src/certificate/identity.ts';
import { credentialsOf, openEdgeCopy, openHubCopy } from '../support/data-copy.ts';
import { type CommandResult, Deployment, runPostern } from '../support/deployment.ts';
import { until } from '../support/until.ts';

const parts = new AsyncDisposableStack();
const said: string[] = [];
let site: Deployment;
let bootstrapPassword = '';

const SOURCE_PASSWORD = 'marker-of-the-source-password';

beforeAll(async () => {
  site = parts.use(
    await Deployment.create(async (folder) => {
      const path = join(folder, 'people.ldif');
      await writeFile(path, 'dn: cn=a\nobjectClass: person\nmail: a@example.org\n');
      const passwordFile = join(folder, 'source.password');
      await writeFile(passwordFile, `${SOURCE_PASSWORD}\n`, { mode: 0o600 });
      return {
        source: { kind: 'ldif', path, bind_dn: 'cn=unused', password_file: passwordFile },
        edge: { log: { level: 'debug' } },
        hub: { log: { level: 'debug', format: 'json' } },
      };
    }),
  );
  await site.startEdge();
  await site.startHub();
  await site.hubOk('domain', 'add', 'example.org', '--recipient-delimiter', '+');
  const file = join(site.folder, 'edge1.xml');
  note(await site.edge('subscription', 'create', file));
  bootstrapPassword = /<ESRAPassword>[^<]*?([^<&;]{12,})/.exec(await readFile(file, 'utf8'))?.[1] ?? '';
  note(await site.hub('subscription', 'import', file));
  note(await site.hub('sync', 'run'));
});
afterAll(() => parts.disposeAsync());

function note(result: CommandResult): CommandResult {
  said.push(result.stdout, result.stderr);
  return result;
}

describe('a second daemon on the same data folder', () => {
  it.each(['edge', 'hub'] as const)('%s: refused, and the first one goes on', async (role) => {
    const result = await site[role](role, 'run');
    expect(result.stderr).toContain('[daemon.running]');
    expect(result.stderr).toMatch(/hint: \S/);
    expect(result.exitCode).toBe(7);
    expect((await site[role]('status')).exitCode).toBe(0);
  });

  it('the hub, started as an edge on that folder: refused as well', async () => {
    const text = (await site.readConfig('edge')).replace(site.edgeData, site.hubData);
    const path = join(site.folder, 'edge-elsewhere.toml');
    await writeFile(path, text);
    const result = await site.command(path, ['edge', 'run']);
    expect(result.stderr).toContain('[daemon.running]');
    expect(result.exitCode).toBe(7);
  });
});

describe('stopping and starting', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    '%s: exit code 0, the control socket gone, nothing lost',
    async (signal) => {
      for (const role of ['hub', 'edge'] as const) {
        const daemon = role === 'edge' ? site.edgeDaemon : site.hubDaemon;
        // A second signal would end it at once, so `stop` comes when it has ended, for the exit code.
        daemon?.signal(signal);
        await until(
          `the ${role} to end`,
          () => daemon?.running,
          (running) => running === false,
        );
        expect(await daemon?.stop()).toBe(0);
        const data = role === 'edge' ? site.edgeData : site.hubData;
        await expect(stat(join(data, 'control.sock'))).rejects.toThrow('ENOENT');
        expect(site.log(role)).toMatch(/stopping/);
      }
      const away = await site.edge('status');
      expect(away.stderr).toContain('[daemon.unreachable]');
      expect(away.exitCode).toBe(5);
      await site.startEdge();
      expect(await site.edgeOk('lookup', 'a+x@example.org')).toMatch(/known/);
      await site.startHub();
      await site.hubOk('sync', 'run');
      await site.hubOk('sync', 'verify');
    },
  );

  it('a hub that stops gives the lease back, and takes it again', async () => {
    expect(await site.hubDaemon?.stop()).toBe(0);
    const lease = async (): Promise<string> =>
      (JSON.parse(await site.edgeOk('status', '--json')) as { lease: { state: string } }).lease.state;
    expect(await lease()).toBe('free');
    await site.startHub();
    await until('the lease', lease, (state) => state === 'held');
  });

  it('a port that somebody else has: refused with its name, exit code 1', async () => {
    const text = (await site.readConfig('edge')).replace(site.edgeData, `${site.edgeData}-other`);
    const path = join(site.folder, 'edge-other.toml');
    await writeFile(path, text);
    const result = await site.command(path, ['edge', 'run']);
    expect(result.stderr).toContain('[listen.failed]');
    expect(result.stderr).toContain(String(site.ldapsPort));
    expect(result.exitCode).toBe(1);
  });
});

describe('exit codes', () => {
  type Where = 'edge' | 'hub';
  it.each<[number, Where, string[], RegExp]>([
    [0, 'edge', ['--version'], /^\d+\.\d+\.\d+/],
    [0, 'edge', ['--help'], /Exit codes/],
    [0, 'edge', [], /edge1/],
    [0, 'hub', ['sync', 'status'], /Synchronized/],
    [0, 'hub', ['domain', 'list'], /example\.org/],
    [0, 'hub', ['subscription', 'show', 'edge1'], /established/],
    [0, 'edge', ['directory', 'verify'], /sound/],
    [2, 'edge', ['nonsense'], /nonsense/],
    [2, 'edge', ['lookup'], /ADDRESS/],
    [2, 'edge', ['subscription', 'create', '/nowhere.xml', '--ttl', '1s'], /2 min/],
    [2, 'hub', ['domain', 'add', 'not a domain'], /domain/],
    [1, 'edge', ['subscription', 'create', '/nowhere-at-all/x.xml'], /no folder/],
    [1, 'hub', ['subscription', 'import', '/nowhere.xml'], /cannot read/],
    [6, 'edge', ['lookup', 'nobody@example.org'], /NOTFOUND/],
    [6, 'hub', ['subscription', 'show', 'nobody'], /no edge nobody/],
    [6, 'hub', ['subscription', 'remove', 'nobody'], /no edge nobody/],
    [6, 'hub', ['domain', 'remove', 'nobody.example'], /no accepted domain/],
    [6, 'hub', ['sync', 'verify', '--edge', 'nobody'], /no edge nobody/],
    [5, 'hub', ['status', '--config', 'other-hub.toml'], /daemon\.unreachable/],
  ])('%i: on the %s: postern %j', async (code, where, words, says) => {
    await writeFile(
      join(site.folder, 'other-hub.toml'),
      'name = "hub9"\nfqdn = "hub9.localhost"\ndata = "/nonexistent/hub"\n',
    );
    const result = await site[where](...words);
    expect(`${result.stdout}${result.stderr}`).toMatch(says);
    expect(result.exitCode).toBe(code);
    // An error has a code and a way on; what is no error has no error's form.
    if (/^postern: /m.test(result.stderr)) expect(result.stderr).toMatch(/\[[a-z.-]+\]\n {2}hint: \S/);
  });

  it('2: every fault of a configuration file at once, with the nearest key', async () => {
    const path = join(site.folder, 'wrong-edge.toml');
    await writeFile(
      path,
      'name = "edge1"\nfqdn = "short"\nlokup = { max_age = "1d" }\n[listen]\nldap = ["0.0.0.0:389"]\n',
    );
    for (const words of [
      ['config', 'check', path],
      ['edge', 'run', '--config', path],
    ]) {
      const result = await runPostern(words);
      expect(result.stderr).toMatch(/did you mean "lookup"/);
      expect(result.stderr).toMatch(/fully qualified/);
      expect(result.stderr).toMatch(/loopback/);
      expect(result.exitCode).toBe(2);
    }
  });

  it('0: the configurations that are running', async () => {
    for (const file of [site.edgeFile, site.hubFile]) {
      expect((await runPostern(['config', 'check', file])).exitCode).toBe(0);
      const printed = await runPostern(['config', 'print', file]);
      const again = join(site.folder, file.includes('hub') ? 'again-hub.toml' : 'again-edge.toml');
      await writeFile(again, printed.stdout);
      expect((await runPostern(['config', 'print', again])).stdout).toBe(printed.stdout);
    }
  });
});

describe('secrets', () => {
  const privateKey = ({ key }: Identity): Buffer =>
    Buffer.from(key.export({ format: 'jwk' }).d ?? '', 'base64url');

  it('are in no log at debug level, in no --json output, in no export', async () => {
    await using hub = await openHubCopy(site.hubData, 'hub1', 'hub1.localhost');
    await using edge = await openEdgeCopy(site.edgeData, 'edge1.localhost', site.ldapsPort);
    const [esra] = (await credentialsOf(hub, 'edge1')).values();
    const trust = edge.node.store.value;
    const secrets: readonly (readonly [string, Buffer])[] = [
      ['bootstrap password', Buffer.from(bootstrapPassword)],
      ['ESRA password', Buffer.from(esra?.revealText() ?? '')],
      ['source password', Buffer.from(SOURCE_PASSWORD)],
      ['address key', Buffer.from(trust.addressKey?.key.reveal() ?? [])],
      ['password digest', Buffer.from(JSON.stringify(trust.accounts[0]?.password).slice(20, 60))],
      ['private key of the edge', privateKey(edge.node.identity)],
      ['private key of the hub', privateKey(hub.node.identity)],
    ];
    for (const [, secret] of secrets) expect(secret.length).toBeGreaterThanOrEqual(12);
    for (const words of [
      ['status', '--json'],
      ['directory', 'export'],
      ['directory', 'search', '(objectClass=*)'],
      ['subscription', 'show', 'edge1', '--json'],
    ])
      for (const where of ['edge', 'hub'] as const) note(await site[where](...words));
    for (const words of [
      ['subscription', 'list'],
      ['sync', 'status'],
      ['sync', 'verify'],
      ['domain', 'list'],
    ])
      note(await site.hub(...words, '--json'));
    note(await site.edge('lookup', 'a@example.org', '--json'));
    note(await site.hub('config', 'print', site.hubFile));
    const texts = [...said, site.log('edge'), site.log('hub')];
    // The search below reads something: names that may be shown are found.
    expect(texts.join('\n')).toContain('ESRA.edge1.hub1.0');
    for (const [name, secret] of secrets) {
      const forms = [
        secret.toString('latin1'),
        secret.toString('base64').slice(0, 16),
        secret.toString('hex'),
      ];
      const found = texts.filter((text) => forms.some((form) => text.replaceAll('\n ', '').includes(form)));
      expect([name, found]).toEqual([name, []]);
    }
  });

  it('are readable for the daemon alone', async () => {
    for (const data of [site.edgeData, site.hubData]) {
      const folder = join(data, 'trust');
      for (const name of await readdir(folder))
        expect([name, (await stat(join(folder, name))).mode & 0o077]).toEqual([name, 0]);
      expect((await stat(join(data, 'control.sock'))).mode & 0o077).toBe(0);
    }
  });
});

describe('the end of a subscription', () => {
  it('on the edge: nothing is left but "temporarily unable", and the hub is not let in', async () => {
    expect(await site.edgeOk('subscription', 'remove')).toMatch(/removed/);
    expect((await site.edge('lookup', 'a@example.org')).exitCode).toBe(3);
    await site.hub('sync', 'run');
    const status = await site.hub('sync', 'status');
    expect(status.stdout).toMatch(/Expired|NotSynchronized/);
    expect(status.exitCode).toBe(3);
  });

  it('on the hub: forgotten, and a new file subscribes the edge again', async () => {
    expect(await site.hubOk('subscription', 'remove', 'edge1')).toMatch(/removed/);
    expect(await site.hubOk('subscription', 'list')).toMatch(/no edge|no subscri/);
    await site.edgeOk('subscription', 'create', join(site.folder, 'second.xml'));
    await site.hubOk('subscription', 'import', join(site.folder, 'second.xml'));
    await site.hubOk('sync', 'run');
    await site.hubOk('sync', 'verify');
    // Numbers are not used again, and the one before was reserved when the edge refused all others.
    expect(await site.edgeOk('subscription', 'show')).toMatch(/ESRA\.edge1\.hub1\.[1-9]/);
    expect((await site.edge('lookup', 'a@example.org')).exitCode).toBe(0);
  });
});
