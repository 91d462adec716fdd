/** From two bare hosts to policies in force, by the commands alone, beside real charons and real nft guards. Associations need ESP, which the lab has. */
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { IpsecHost } from '../support/ipsec-host.ts';
import { NetworkPair } from '../support/network-namespace.ts';
import { until } from '../support/until.ts';

let wire: NetworkPair;
let front: IpsecHost;
let back: IpsecHost;

const FRONT = 'role = "front-end"\nname = "edge1.example.org"\naddresses = ["10.66.0.1", "fd66::1"]';
const BACK = (protect: string): string =>
  `role = "back-end"\nname = "node1.example.org"\naddresses = ["10.66.0.2", "fd66::2"]\nprotect = ${JSON.stringify(protect.split(' '))}`;

beforeAll(async () => {
  wire = await NetworkPair.create();
  [front, back] = [await IpsecHost.create(wire.a), await IpsecHost.create(wire.b)];
  await front.policy(FRONT);
  await back.policy(BACK('passwords'));
  await introduce();
});

/** Nothing in force, and what is known of each other as before. */
afterEach(async () => {
  for (const host of [front, back]) await host.reset();
  await back.policy(BACK('passwords'));
});

afterAll(async () => {
  for (const host of [front, back]) await host[Symbol.asyncDispose]();
  await wire[Symbol.asyncDispose]();
});

/** Each side's file to the other, fingerprints compared. */
async function introduce(): Promise<void> {
  for (const [one, other] of [
    [front, back],
    [back, front],
  ] as const) {
    const { file, fingerprint } = await one.json<{ file: string; fingerprint: string }>(
      'peer',
      'export',
      one.path('own.peer'),
    );
    const carried = await other.carry('its.peer', await readFile(file, 'utf8'));
    expect((await other.postern('peer', 'import', carried, '--expect-fingerprint', fingerprint)).code).toBe(
      0,
    );
  }
}

describe('postern ipsec', () => {
  it('goes from bare hosts to a policy in force, and back', async () => {
    expect((await front.postern('plan')).code).toBe(10);
    const applied = await front.postern('apply');
    expect(applied).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('taken back in 50 s') as string,
    });
    expect([await front.traps(), await front.guarded()]).toEqual([
      ['110', '143'],
      ['110', '143'],
    ]);
    expect(await front.json('explain', '10.66.0.1', '10.66.0.2', '110')).toMatchObject({
      outcome: 'protected',
      policy: 'trial',
    });
    expect((await front.postern('plan')).code).toBe(0);
    expect((await front.postern('confirm')).code).toBe(0);
    expect((await readdir(front.path('etc'))).sort()).toEqual(['guard', 'state.json']);
    expect(await front.json('check')).toContainEqual(expect.objectContaining({ name: 'guard', state: 'ok' }));
    // Both sides find each other by their pinned certificates; only ESP is missing here.
    await back.postern('apply');
    await front.charon.swanctl('--initiate', '--ike', 'postern-edge1.example.org_node1.example.org-v4');
    expect(await front.charon.swanctl('--list-sas')).toMatch(/ESTABLISHED[\s\S]*node1\.example\.org/);
    expect((await back.postern('rollback')).code).toBe(0);
    expect([await back.traps(), await back.guarded()]).toEqual([[], []]);
  });

  it('takes back what nobody confirms, when apply and everything else of ours is gone', async () => {
    await front.charon.swanctl('--load-conns', '--file', await front.carry('foreign.conf', FOREIGN));
    await back.postern('apply');
    await back.postern('confirm');
    await back.policy(BACK('streams'));
    await back.postern('apply');
    expect([await back.traps(), await back.guarded()]).toEqual([
      ['110', '143', '80'],
      ['110', '143', '80'],
    ]);
    const script = (await readdir(back.path('run'))).find((name) => name.startsWith('rollback-')) ?? '';
    await wire.b.run('/bin/sh', back.path(`run/${script}`), 'now');
    expect([await back.traps(), await back.guarded()]).toEqual([
      ['110', '143'],
      ['110', '143'],
    ]);
    // The first one that is taken back leaves nothing, and other people's connections as they were.
    await front.postern('apply');
    expect((await front.postern('rollback')).code).toBe(0);
    expect(await front.charon.swanctl('--list-conns')).not.toContain('postern-');
    expect(await front.charon.swanctl('--list-conns')).toContain('somebody-else');
  });

  it('takes back by the script alone what charon does not hear of', async () => {
    await front.postern('apply');
    const script = (await readdir(front.path('run'))).find((name) => name.startsWith('rollback-')) ?? '';
    await front.charon.kill();
    expect(await front.traps()).toEqual(['110', '143']);
    await wire.a.run('/bin/sh', front.path(`run/${script}`), 'now');
    expect([await front.traps(), await front.guarded()]).toEqual([[], []]);
    await front.charon.start();
  });

  it('is taken back when apply is killed in the middle', async () => {
    const apply = front.begin('apply');
    await until(
      'it is in force',
      () => readdir(front.path('run/trial')).catch(() => []),
      (names) => names.length > 0,
      1,
    );
    apply.kill('SIGKILL');
    await once(apply, 'exit');
    // Whoever comes next can take it back at once, and otherwise the watch does.
    expect((await front.postern('rollback')).code).toBe(0);
    expect([await front.traps(), await front.guarded()]).toEqual([[], []]);
  });

  it('lets nothing bad touch what is in force', async () => {
    await back.postern('apply');
    await back.postern('confirm');
    const before = [await back.traps(), await back.guarded()];
    const refused = async (code: number, text: RegExp): Promise<void> => {
      const ran = await back.postern('apply');
      expect([ran.code, ran.stderr]).toEqual([code, expect.stringMatching(text)]);
      expect(ran.stderr).toMatch(/hint: /);
      expect([await back.traps(), await back.guarded()]).toEqual(before);
    };
    await back.policy(BACK('paswords tcp/60000-70000'));
    await refused(2, /"paswords": neither a preset[^]*ports go from 1 to 65535/);
    await back.policy(
      BACK('streams'),
      '[[peer]]\nname = "x.example.org"\naddresses = ["10.66.0.9"]\ncertificates = ["/nowhere.pem"]',
    );
    await refused(2, /cannot read the certificate \/nowhere\.pem/);
    await back.policy(BACK('streams'));
    await writeFile(
      back.path('ipsec.toml'),
      (await readFile(back.path('ipsec.toml'), 'utf8')).replace(back.charon.viciPath, back.path('nobody')),
    );
    await refused(1, /\[vici\.unreachable\]/);
  });

  it('protects nothing while it observes, and says that it proves nothing', async () => {
    await back.policy(`stage = "observe"\n${BACK('passwords')}`);
    expect((await back.postern('apply')).code).toBe(0);
    expect([await back.traps(), await back.guarded()]).toEqual([[], ['110', '143']]);
    const proof = await back.postern('proof', '--for', '100ms');
    expect([proof.code, proof.stdout]).toEqual([3, expect.stringContaining('PROVES NOTHING')]);
  });
});

const FOREIGN = `connections { somebody-else { remote_addrs = 192.0.2.77\n local { auth = pubkey\n id = a }\n remote { auth = pubkey\n id = b }\n children { net { } } } }`;
