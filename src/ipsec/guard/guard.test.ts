/** The guard in real kernels' tables: two network namespaces with a cable between them, nft and XFRM. Whatever is sent here is clear text. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { policyOf } from '../../../test/support/ipsec-policy.ts';
import { type NetworkNamespace, NetworkPair } from '../../../test/support/network-namespace.ts';
import { Talker, type TalkOptions } from '../../../test/support/network-talk.ts';
import { type RunProgram, runProgram } from '../run-program.ts';
import { chooseMechanism, Guard } from './guard.ts';
import { until } from '../../../test/support/until.ts';
import { guardScope } from './scope.ts';
import { type GuardMechanism, renderGuardScript } from './script.ts';

const FRONT = ['10.66.0.1', 'fd66::1'] as const;
const BACK = ['10.66.0.2', 'fd66::2'] as const;

const front = (protect: string, extra = ''): string =>
  `role = "front-end"\nname = "edge1.example.org"\naddresses = ${JSON.stringify(FRONT)}\n${extra}
[[peer]]\nname = "mail.example.org"\naddresses = ${JSON.stringify(BACK)}\ncertificates = ["/x"]\nprotect = ["${protect}"]\n`;
const back = (protect: string): string =>
  `role = "back-end"\nname = "mail.example.org"\naddresses = ${JSON.stringify(BACK)}\nprotect = ["${protect}"]
[[peer]]\nname = "edge1.example.org"\naddresses = ${JSON.stringify(FRONT)}\ncertificates = ["/x"]\n[guard]\nclear_from = ["10.77.0.0/24"]\n`;

const inside =
  (namespace: NetworkNamespace): RunProgram =>
  (program, args, input) => {
    const [entering, ...rest] = namespace.enter(program, ...args);
    return runProgram(entering, rest, input);
  };

let pair: NetworkPair;
let a: Talker;
let b: Talker;
let folder: string;

beforeAll(async () => {
  pair = await NetworkPair.create();
  [a, b] = [await Talker.inside(pair.a), await Talker.inside(pair.b)];
  folder = await mkdtemp(join(tmpdir(), 'postern-guard-'));
  // Neither a peer nor, on .1, outside of clear_from.
  await pair.a.run('ip', 'addr', 'add', '10.77.0.1/24', 'dev', 'wire');
  await pair.a.run('ip', 'addr', 'add', '10.78.0.1/24', 'dev', 'wire');
  await pair.b.run('ip', 'addr', 'add', '10.77.0.2/24', 'dev', 'wire');
  await pair.b.run('ip', 'addr', 'add', '10.78.0.2/24', 'dev', 'wire');
  for (const address of [...BACK, '10.77.0.2', '10.78.0.2']) await b.serve(address, 22, 25, 110, 389, 50_000);
});

afterAll(async () => {
  await a[Symbol.asyncDispose]();
  await b[Symbol.asyncDispose]();
  await pair[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

interface Loaded extends AsyncDisposable {
  readonly guard: Guard;
  readonly run: RunProgram;
  readonly folder: string;
  readonly dropped: () => Promise<boolean>;
}

async function load(namespace: NetworkNamespace, toml: string, mechanism: GuardMechanism): Promise<Loaded> {
  const place = await mkdtemp(join(folder, 'x'));
  const folders = { trial: join(place, 'trial'), confirmed: join(place, 'etc'), run: join(place, 'run') };
  await mkdir(folders.confirmed);
  await mkdir(folders.run);
  await writeFile(
    join(folders.confirmed, 'guard'),
    renderGuardScript(guardScope(policyOf(toml)), mechanism, folders),
  );
  const run = inside(namespace);
  const guard = new Guard(run, folders.confirmed);
  await guard.load();
  const sum = async (): Promise<number> =>
    Object.values(await guard.counters()).reduce((total, count) => total + count, 0);
  let before = await sum();
  const dropped = async (): Promise<boolean> => {
    const now = await sum();
    const grew = now > before;
    before = now;
    return grew;
  };
  return { guard, run, folder: folders.confirmed, dropped, [Symbol.asyncDispose]: () => guard.remove() };
}

/** What becomes of a connection and a datagram. XFRM refuses what would leave at once. */
async function talk(
  host: string,
  port: number,
  { dropped }: Loaded,
  options: TalkOptions = {},
): Promise<string> {
  const tcp = await a.tcp(host, port, dropped, options);
  return tcp === 'EPERM' ? 'dropped' : tcp;
}

describe.each(['nft', 'xfrm'] as const)('the guard as %s', (mechanism) => {
  it.each([
    ['a front-end', front('passwords')],
    ['a back-end', back('passwords')],
  ])('of %s drops the protected ports and leaves others', async (_name, toml) => {
    await using loaded = await load(toml.includes('"front-end"') ? pair.a : pair.b, toml, mechanism);
    for (const host of BACK) {
      expect(await talk(host, 110, loaded)).toBe('dropped');
      expect(await talk(host, 25, loaded)).toBe('connected');
      expect(await a.udp(host, 389, loaded.dropped)).toBe('answered');
    }
    expect(await loaded.guard.check()).toBe('ok');
  });

  it('is gone when it was removed', async () => {
    const loaded = await load(pair.b, back('passwords'), mechanism);
    await loaded.guard.remove();
    expect(await a.tcp(BACK[0], 110, () => Promise.resolve(false))).toBe('connected');
    expect(await loaded.guard.check()).toBe('missing');
  });

  it('of a back-end is for everybody but the networks of clear_from, on all its addresses', async () => {
    await using loaded = await load(pair.b, back('passwords'), mechanism);
    expect(await talk('10.78.0.2', 110, loaded, { from: '10.78.0.1' })).toBe('dropped');
    expect(await talk('10.77.0.2', 110, loaded, { from: '10.77.0.1' })).toBe('connected');
    expect(await talk(BACK[0], 110, loaded, { from: '10.77.0.1' })).toBe('connected');
    expect(await talk(BACK[0], 110, loaded, { from: '10.78.0.1' })).toBe('dropped');
  });

  it('leaves what does not leave the host', async () => {
    await using loaded = await load(pair.b, back('passwords'), mechanism);
    for (const host of BACK) expect(await b.tcp(host, 110, loaded.dropped)).toBe('connected');
  });

  it('drops datagrams that come in fragments', async () => {
    await using loaded = await load(pair.b, back('udp/389'), mechanism);
    for (const host of BACK) {
      expect(await a.udp(host, 389, loaded.dropped, { size: 4000 })).toBe('dropped');
      expect(await a.udp(host, 25, loaded.dropped, { size: 4000 })).toBe('answered');
    }
  });

  it('of a host that protects everything leaves management and neighbours', async () => {
    await using loaded = await load(pair.a, front('everything'), mechanism);
    for (const [index, host] of BACK.entries()) {
      await pair.a.run('ip', 'neigh', 'flush', 'dev', 'wire');
      await pair.b.run('ip', 'neigh', 'flush', 'dev', 'wire');
      expect(await talk(host, 22, loaded)).toBe('connected');
      expect(await talk(host, 25, loaded)).toBe('dropped');
      expect(await b.tcp(FRONT[index] ?? '', 22, loaded.dropped)).toBe('ECONNREFUSED');
    }
    expect(await talk('10.78.0.2', 25, loaded)).toBe('connected');
  });

  it('counts only, until the stage is "guarded"', async () => {
    await using loaded = await load(pair.a, front('passwords', 'stage = "traps"'), mechanism);
    expect(await a.tcp(BACK[0], 110, () => Promise.resolve(false))).toBe('connected');
    expect(await loaded.dropped()).toBe(mechanism === 'nft');
  });

  it('takes the place of an earlier one, whole', async () => {
    await using first = await load(pair.a, front('streams'), mechanism);
    await using second = await load(pair.a, front('tcp/25'), mechanism);
    expect(await talk(BACK[0], 110, second)).toBe('connected');
    expect(await talk(BACK[0], 25, second)).toBe('dropped');
    expect([await first.guard.check(), await second.guard.check()]).toEqual(['altered', 'ok']);
  });

  it('is found missing and altered, and put back', async () => {
    await using loaded = await load(pair.a, front('passwords'), mechanism);
    const { guard, run } = loaded;
    await (mechanism === 'nft' ? run('nft', ['flush', 'ruleset']) : run('ip', ['xfrm', 'policy', 'flush']));
    expect(await guard.check()).toBe('missing');
    expect(await guard.mend()).toBe(true);
    expect(await guard.check()).toBe('ok');
    if (mechanism === 'nft')
      await run('nft', ['insert', 'rule', 'inet', 'postern_ipsec', 'postrouting', 'accept']);
    else
      await run('ip', [
        'xfrm',
        'policy',
        'delete',
        'dir',
        'out',
        'src',
        '::/0',
        'dst',
        'fd66::2/128',
        'proto',
        'tcp',
        'dport',
        '110',
      ]);
    expect(await guard.check()).toBe('altered');
    expect(await guard.mend()).toBe(true);
    expect(await guard.check()).toBe('ok');
    expect(await guard.mend()).toBe(false);
    expect(await talk(BACK[0], 110, loaded)).toBe('dropped');
  });

  it('is put back by its watch as soon as somebody flushes it', async () => {
    await using loaded = await load(pair.a, front('passwords'), mechanism);
    const [program, ...args] = pair.a.enter(
      'setsid',
      '--wait',
      '/bin/sh',
      join(loaded.folder, 'guard'),
      'watch',
    );
    const watch = execFile(program, args);
    const flush = (): Promise<unknown> =>
      mechanism === 'nft'
        ? loaded.run('nft', ['flush', 'ruleset'])
        : loaded.run('ip', ['xfrm', 'policy', 'flush']);
    const whole = (): Promise<unknown> =>
      until(
        'the guard is back',
        () => loaded.guard.check(),
        (state) => state === 'ok',
      );
    try {
      for (const _ of [1, 2, 3]) {
        await flush();
        await whole();
      }
    } finally {
      const { stdout } = await loaded.run('cat', [join(loaded.folder, '../run/guard-watch.pid')]);
      process.kill(-Number(stdout), 'SIGKILL');
      await once(watch, 'exit');
    }
  });
});

describe('beside charon', () => {
  it("the guard's policies never have charon's own selectors, which would replace them", async () => {
    await using loaded = await load(pair.a, front('passwords'), 'xfrm');
    const trap = [
      'dir',
      'out',
      'src',
      '10.66.0.1/32',
      'dst',
      '10.66.0.2/32',
      'proto',
      'tcp',
      'dport',
      '110',
      'priority',
      '268608',
      'tmpl',
      'proto',
      'esp',
      'reqid',
      '1',
      'mode',
      'transport',
    ];
    expect((await loaded.run('ip', ['xfrm', 'policy', 'update', ...trap])).code).toBe(0);
    expect(await loaded.guard.check()).toBe('ok');
    await loaded.run('ip', ['xfrm', 'policy', 'delete', ...trap.slice(0, 10)]);
    expect(await loaded.guard.check()).toBe('ok');
    expect(await talk(BACK[0], 110, loaded)).toBe('dropped');
  });
});

describe('the mechanism', () => {
  it('is nft where the kernel takes it', async () => {
    const scope = guardScope(policyOf(front('directory')));
    expect(await chooseMechanism(inside(pair.a), 'auto', scope)).toBe('nft');
    const none: RunProgram = () => Promise.resolve({ code: 1, stdout: '', stderr: 'Error: no' });
    expect(await chooseMechanism(none, 'auto', scope)).toBe('xfrm');
    await expect(chooseMechanism(none, 'nft', scope)).rejects.toMatchObject({
      code: 'ipsec.guard',
      hint: /mechanism = "xfrm"/,
    });
  });

  it('says what XFRM cannot hold', () => {
    const folders = { trial: '/a', confirmed: '/b', run: '/c' };
    expect(() => renderGuardScript(guardScope(policyOf(front('directory'))), 'xfrm', folders)).toThrow(
      /would need \d+ XFRM policies/,
    );
  });
});
