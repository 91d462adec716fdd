import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../../test/fakes/clock.ts';
import { systemFiles } from '../../base/files.ts';
import { silentLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { createIdentity } from '../../certificate/identity.ts';
import { nameKey } from '../../credential/account-name.ts';
import { openEdgeNode } from '../../subscription/node.ts';
import { subscriptionIdentity, subscriptionPins } from './subscription-trust.ts';

const clock = new FakeClock();
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-subscribed-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function edge(): Promise<{ path: string; node: Awaited<ReturnType<typeof openEdgeNode>> }> {
  const path = join(folder, 'edge.toml');
  await writeFile(path, `name = "edge1"\nfqdn = "edge1.example.org"\ndata = "${folder}"\n`);
  const node = await openEdgeNode({
    files: systemFiles,
    clock,
    random: systemRandom,
    log: silentLog,
    folder,
    fqdn: 'edge1.example.org',
  });
  return { path, node };
}

describe('what the edge on this machine knows', () => {
  it('is its identity, and the pins of its hubs', async () => {
    const { path, node } = await edge();
    const [hub, next] = await Promise.all(
      [1, 2].map(() => createIdentity('hub1.example.org', { clock, random: systemRandom })),
    );
    if (hub === undefined || next === undefined) throw new Error('no identity was made');
    await node.store.update((trust) => ({
      ...trust,
      hubs: {
        [nameKey('hub1')]: {
          name: 'hub1',
          fqdn: 'hub1.example.org',
          pins: { current: hub.pin, next: next.pin },
          certificate: hub.certificate.der,
          admittedAt: 0,
          admittedBy: 'bootstrap',
        },
      },
    }));
    await node.store.close();
    expect((await subscriptionIdentity(systemFiles, path)).pin).toBe(node.identity.pin);
    expect(await subscriptionPins(systemFiles, path, 'hub1.example.org')).toEqual([hub.pin, next.pin]);
    expect(await subscriptionPins(systemFiles, path, 'hub2.example.org')).toEqual([]);
  });

  it('is nothing yet before its daemon has started', async () => {
    const path = join(folder, 'hub.toml');
    await writeFile(path, `name = "hub1"\nfqdn = "hub1.example.org"\ndata = "${folder}"\n`);
    await expect(subscriptionIdentity(systemFiles, path)).rejects.toMatchObject({
      code: 'ipsec.peer',
      hint: /start its daemon/,
    });
    await expect(subscriptionIdentity(systemFiles, join(folder, 'edge.toml'))).rejects.toMatchObject({
      code: 'config.invalid',
    });
  });
});
