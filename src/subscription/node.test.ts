/** A node's keys over restarts, crashes and changes of configuration. */
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/clock.ts';
import { FakeFiles } from '../../test/fakes/files.ts';
import { fakeRandom } from '../../test/fakes/random.ts';
import { silentLog } from '../base/log.ts';
import { Secret } from '../base/secret.ts';
import { createIdentity, type Identity, saveIdentity } from '../certificate/identity.ts';
import { identityPath } from '../certificate/identity-files.ts';
import { verifyClaim } from '../certificate/statement.ts';
import { type NodeOptions, openEdgeNode, openHubNode } from './node.ts';

const random = fakeRandom('node');
const optionsFor = (files: FakeFiles, change: Partial<NodeOptions> = {}): NodeOptions => ({
  files,
  clock: new FakeClock(),
  random,
  log: silentLog,
  folder: '/data',
  fqdn: 'Edge1.Example.',
  ...change,
});

describe('a node', () => {
  it('makes its keys once', async () => {
    const files = new FakeFiles();
    const first = await openEdgeNode(optionsFor(files));
    await first.store.close();
    const second = await openEdgeNode(optionsFor(files));
    expect(second.fqdn).toBe('edge1.example');
    expect(second.identity.pin).toBe(first.identity.pin);
    expect(second.identity.certificate.names).toContain('edge1.example');
    expect(JSON.stringify(second.store.value)).toBe(JSON.stringify(first.store.value));
    expect(
      second.store.value.sealingKeys[0]?.privateKey.equals(
        first.store.value.sealingKeys[0]?.privateKey ?? new Secret(''),
      ),
    ).toBe(true);
  });

  it('states its sealing key under its name, and again when the name changes', async () => {
    const files = new FakeFiles();
    const stated = async (fqdn: string): Promise<boolean> => {
      const { identity, store } = await openHubNode(optionsFor(files, { fqdn }));
      const { claim } = verifyClaim(store.value.sealingStatement, identity.pin, 'sealingKey', fqdn);
      await store.close();
      return claim.publicKey.equals(store.value.sealingKeys[0]?.publicKey ?? Buffer.alloc(0));
    };
    expect([
      await stated('hub1.example'),
      await stated('mail.example'),
      await stated('mail.example'),
    ]).toEqual([true, true, true]);
  });

  it('does not make another identity when the one its peers trust is missing', async () => {
    const files = new FakeFiles();
    await (await openEdgeNode(optionsFor(files))).store.close();
    await files.remove('/data/trust/identity.pem');
    await expect(openEdgeNode(optionsFor(files))).rejects.toThrow(
      expect.objectContaining({ code: 'trust.damaged' }),
    );
  });

  it('takes on another certificate at once only while nobody trusts the former one', async () => {
    const files = new FakeFiles();
    await (await openEdgeNode(optionsFor(files))).store.close();
    const theirs = await createIdentity('edge1.example', { clock: new FakeClock(), random });
    const foreign = (): Promise<Identity> => Promise.resolve(theirs);
    const changed = await openEdgeNode(optionsFor(files, { foreign }));
    const kept = identityPath('/data/trust', theirs.pin);
    expect(changed.store.value.identity).toEqual({
      keyFile: kept,
      certificateFile: kept,
      pin: theirs.pin,
      brought: true,
    });
    expect(changed.identity.pin).toBe(theirs.pin);
    expect(() =>
      verifyClaim(changed.store.value.sealingStatement, theirs.pin, 'sealingKey', 'edge1.example'),
    ).not.toThrow();
    const { der } = theirs.certificate;
    await changed.store.update((draft) => ({
      ...draft,
      hubs: {
        hub1: {
          name: 'hub1',
          fqdn: 'hub1.example',
          pins: { current: theirs.pin },
          certificate: der,
          admittedAt: 0,
          admittedBy: 'bootstrap',
        },
      },
    }));
    await changed.store.close();
    // From now on it has a copy of its own: neither the configuration nor the file it named is needed, and another one has to wait.
    const another = await createIdentity('edge1.example', { clock: new FakeClock(), random });
    for (const change of [{}, { foreign: () => Promise.resolve(another) }]) {
      const again = await openEdgeNode(optionsFor(files, change));
      expect(again.identity.pin).toBe(theirs.pin);
      await again.store.close();
    }
  });

  it("goes on with an identity that an earlier version left in the administrator's own files", async () => {
    const files = new FakeFiles();
    const theirs = await createIdentity('edge1.example', { clock: new FakeClock(), random });
    await saveIdentity(files, '/etc-foreign.pem', theirs);
    const first = await openEdgeNode(optionsFor(files, { foreign: () => Promise.resolve(theirs) }));
    const place = { keyFile: '/etc-foreign.pem', certificateFile: '/etc-foreign.pem', pin: theirs.pin };
    await first.store.update((draft) => ({ ...draft, identity: place }));
    await first.store.close();
    await files.remove(identityPath('/data/trust', theirs.pin));
    const again = await openEdgeNode(optionsFor(files));
    expect(again.identity.pin).toBe(theirs.pin);
    await again.store.close();
    await files.remove('/etc-foreign.pem');
    expect((await openEdgeNode(optionsFor(files))).identity.pin).toBe(theirs.pin);
  });

  it('does not go on with another key in the place of its own', async () => {
    const files = new FakeFiles();
    await (await openEdgeNode(optionsFor(files))).store.close();
    const another = await createIdentity('edge1.example', { clock: new FakeClock(), random });
    await saveIdentity(files, '/data/trust/identity.pem', another);
    await expect(openEdgeNode(optionsFor(files))).rejects.toMatchObject({ code: 'certificate.invalid' });
  });

  it('comes up after power was lost at any step of its first start, with keys that stay', async () => {
    for (let step = 0; ; step++) {
      const files = new FakeFiles();
      files.powerOffAtStep(step);
      const finished = await openEdgeNode(optionsFor(files)).then(
        () => true,
        () => false,
      );
      for (const unsynced of ['dropped', 'kept', 'random'] as const) {
        const after = files.powerLoss({ unsynced, seed: String(step) });
        const first = await openEdgeNode(optionsFor(after));
        await first.store.close();
        const second = await openEdgeNode(optionsFor(after));
        expect(second.identity.pin, `step ${step}`).toBe(first.identity.pin);
      }
      if (finished) break;
      expect(step).toBeLessThan(100);
    }
  });
});
