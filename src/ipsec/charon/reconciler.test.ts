/** The reconciler against real charons. Where the kernel has no ESP no child comes up; what is about IKE, traps, keys and other people holds all the same. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeCertificate } from '../../../test/support/certificate.ts';
import { type CharonPair, plainConnection, startCharonPair } from '../../../test/support/charon-pair.ts';
import { CONNECTION, desiredState, keyOf } from '../../../test/support/desired-state.ts';
import { Reconciled } from '../../../test/support/reconciled.ts';
import { until } from '../../../test/support/until.ts';
import { PosternError } from '../../base/error.ts';
import { Secret } from '../../base/secret.ts';
import { collect } from '../../vici/collect.ts';
import * as command from '../../vici/command.ts';
import type { DesiredState } from '../desired.ts';

let pair: CharonPair;
const CHILD = `${CONNECTION}-passwords`;
const NOTHING: DesiredState = {
  connections: [],
  keys: [],
  bypasses: [],
  settings: { retransmitTimeout: 4, retransmitBase: 1.8, retransmitTries: 5 },
};

beforeEach(async () => {
  pair = await startCharonPair();
});

afterEach(() => pair[Symbol.asyncDispose]());

const frontEnd = (more: Parameters<typeof desiredState>[2] = {}): DesiredState =>
  desiredState(pair.frontEnd, pair.backEnd, more);

const traps = async (): Promise<string[]> =>
  (await collect(command.listPolicies(pair.frontEnd.vici))).map(({ name, mode }) => `${name} ${mode}`);

const associations = () => collect(command.listAssociations(pair.frontEnd.vici));

/** An IKE_SA of the connection, made by hand: whether a child follows is the kernel's business. */
async function establish(): Promise<number> {
  await command
    .initiate(pair.frontEnd.vici, { connection: CONNECTION, child: CHILD, timeoutMs: 10_000 })
    .catch((error: unknown) => expect(error).toMatchObject({ code: 'vici.refused' }));
  const [association] = await associations();
  expect(association).toMatchObject({ connection: CONNECTION, state: 'ESTABLISHED' });
  return association?.id ?? 0;
}

describe('the reconciler', () => {
  it('loads what is desired and takes away all of it, among other people’s things', async () => {
    const { frontEnd: here, backEnd } = pair;
    const other = await makeCertificate({ name: 'other' });
    const otherKey = await command.loadKey(here.vici, new Secret(other.key));
    await command.loadConnection(here.vici, 'office', {
      ...plainConnection(here, backEnd),
      remote_addrs: ['10.66.0.77'],
      'remote-1': { auth: 'pubkey', id: 'office.example' },
    });
    const before = await here.charon.swanctl('--list-conns');
    const keysBefore = await command.getKeys(here.vici);
    await using at = await Reconciled.start(here.charon);
    const more = await makeCertificate({ name: 'fe.example' });
    const desired = desiredState({ ...here, certificate: more }, backEnd);
    expect(
      await at.reconciler.setDesired({
        ...desired,
        bypasses: [
          {
            name: 'postern-clear-ssh',
            family: 'ipv4',
            localSelectors: [{ address: '10.66.0.1', protocol: 6, ports: [22, 22] }],
            remoteSelectors: [{ address: '10.66.0.2', protocol: 6, ports: [0, 65_535] }],
          },
        ],
      }),
    ).toEqual([]);
    expect((await command.getConnections(here.vici)).toSorted()).toEqual([
      'office',
      'postern-clear-ssh',
      CONNECTION,
    ]);
    expect(await traps()).toEqual(
      expect.arrayContaining([
        'office/mail TRANSPORT',
        `${CONNECTION}/${CHILD} TRANSPORT`,
        'postern-clear-ssh/postern-clear-ssh PASS',
      ]),
    );
    expect((await command.getKeys(here.vici)).toSorted()).toEqual(
      [...keysBefore, keyOf(more).keyId].toSorted(),
    );
    expect(at.reconciler.status).toMatchObject({ failures: [], violations: [], away: undefined });
    expect(await at.reconciler.setDesired(NOTHING)).toEqual([]);
    expect(await here.charon.swanctl('--list-conns')).toBe(before);
    expect(await command.getKeys(here.vici)).toEqual(keysBefore);
    expect(keysBefore).toContain(otherKey);
  });

  it('changes nothing the second time, nor after its own restart', async () => {
    {
      await using at = await Reconciled.start(pair.frontEnd.charon);
      await at.reconciler.setDesired(frontEnd());
      const taken = at.lines.length;
      await at.reconciler.setDesired(frontEnd());
      expect(at.lines).toHaveLength(taken);
    }
    await command.loadConnection(pair.backEnd.vici, 'back', plainConnection(pair.backEnd, pair.frontEnd));
    const id = await establish();
    await using again = await Reconciled.start(pair.frontEnd.charon);
    await again.reconciler.setDesired(frontEnd());
    expect((await associations()).map((one) => one.id)).toEqual([id]);
    expect(await traps()).toEqual([`${CONNECTION}/${CHILD} TRANSPORT`]);
  });

  it.each(['first', 'last'] as const)(
    'a virtual server whose nodes have a key each: the node whose pin stands %s is known',
    async (place) => {
      const { backEnd, frontEnd: here } = pair;
      const node = (await makeCertificate({ name: backEnd.id })).certificate;
      const other = (await makeCertificate({ name: backEnd.id })).certificate;
      const own = backEnd.certificate.certificate;
      await using front = await Reconciled.start(here.charon);
      await using back = await Reconciled.start(backEnd.charon);
      const pins = place === 'first' ? [own, node, other] : [node, other, own];
      await front.reconciler.setDesired(frontEnd({ pins }));
      await back.reconciler.setDesired(desiredState(backEnd, here));
      await establish();
    },
  );

  it('tells of what charon refuses, and leaves what runs as it is', async () => {
    await using at = await Reconciled.start(pair.frontEnd.charon);
    await at.reconciler.setDesired(frontEnd());
    const shown = await pair.frontEnd.charon.swanctl('--list-conns');
    const failures = await at.reconciler.setDesired(frontEnd({ connection: { ikeProposals: ['rot13'] } }));
    expect(failures).toMatchObject([
      { step: { do: 'load', name: CONNECTION }, error: { code: 'vici.refused' } },
    ]);
    expect(await pair.frontEnd.charon.swanctl('--list-conns')).toBe(shown);
    expect(at.reconciler.status.failures).toMatchObject([
      { code: 'vici.refused', what: expect.stringContaining(CONNECTION) as string },
    ]);
    expect(await at.reconciler.setDesired(frontEnd())).toEqual([]);
    expect(at.reconciler.status.failures).toEqual([]);
  });

  it('refuses a private key that is not the one of the certificate', async () => {
    await using at = await Reconciled.start(pair.frontEnd.charon);
    const other = await makeCertificate();
    const wrong = { ...frontEnd(), keys: [{ keyId: '00'.repeat(20), privateKey: new Secret(other.key) }] };
    const failures = await at.reconciler.setDesired(wrong);
    expect(failures).toMatchObject([{ error: { code: 'certificate.invalid' } }]);
    expect(await command.getKeys(pair.frontEnd.vici)).not.toContain(keyOf(other).keyId);
  });

  it('loads everything again when charon was killed, after the guard was looked at, and clears what the dead one left', async () => {
    let guarded = 0;
    const { charon } = pair.frontEnd;
    await using at = await Reconciled.start(charon, {
      beforeLoading: async () => {
        guarded += 1;
        // At this time nothing of ours has been loaded.
        expect(await charon.swanctl('--list-conns')).toBe('');
      },
    });
    await at.reconciler.setDesired(frontEnd());
    expect(guarded).toBe(1);
    const block = [
      'xfrm',
      'policy',
      'add',
      'dir',
      'out',
      'src',
      '10.66.0.1/32',
      'dst',
      '10.66.0.2/32',
      'proto',
      'tcp',
      'dport',
      '25',
      'action',
      'block',
      'priority',
      '4294967295',
    ];
    await charon.namespace.run('ip', ...block);
    // A policy of the dead charon that today's policy does not have any more.
    await charon.namespace.run(
      'ip',
      'xfrm',
      'policy',
      'add',
      'dir',
      'out',
      'src',
      '10.66.0.1/32',
      'dst',
      '10.66.0.2/32',
      'proto',
      'tcp',
      'dport',
      '993',
      'priority',
      '7',
      'tmpl',
      'proto',
      'esp',
      'mode',
      'transport',
      'reqid',
      '9',
    );
    await charon.kill('SIGKILL');
    await until(
      'away',
      () => at.reconciler.status.away,
      (away) => away !== undefined,
    );
    await expect(at.reconciler.setDesired(frontEnd())).rejects.toMatchObject({
      code: expect.stringMatching(/^vici\./) as string,
    });
    await charon.start();
    await until(
      'loaded again',
      () => at.reconciler.status,
      ({ away, lastLook, failures }) =>
        away === undefined && lastLook !== undefined && failures.length === 0 && guarded === 2,
    );
    await until(
      'traps',
      () => charon.swanctl('--list-pols'),
      (text) => text.includes(CHILD),
    );
    const kernel = await charon.namespace.run('ip', 'xfrm', 'policy');
    expect(kernel).toContain('dport 110');
    expect(kernel).toContain('dport 25');
    expect(kernel).not.toContain('dport 993');
  });

  it('loads nothing while the guard does not stand', async () => {
    let stands = false;
    await using at = await Reconciled.start(pair.frontEnd.charon, {
      beforeLoading: () =>
        stands ? Promise.resolve() : Promise.reject(new PosternError('ipsec.guard', 'no guard')),
    });
    await expect(at.reconciler.setDesired(frontEnd())).rejects.toThrow('no guard');
    expect(await command.getConnections(pair.frontEnd.vici)).toEqual([]);
    stands = true;
    expect(await at.reconciler.setDesired(frontEnd())).toEqual([]);
    expect(await command.getConnections(pair.frontEnd.vici)).toEqual([CONNECTION]);
  });

  it('puts back what somebody else’s swanctl --load-all threw out, at once', async () => {
    await using at = await Reconciled.start(pair.frontEnd.charon);
    await at.reconciler.setDesired(frontEnd());
    // Our own loading is over, and was heard of.
    await until('quiet', () => at.reconciler.status.lastLook, Boolean);
    await pair.frontEnd.charon.swanctl('--load-all');
    await until(
      'back',
      () => command.getConnections(pair.frontEnd.vici),
      (names) => names.includes(CONNECTION),
    );
    await until(
      'key',
      () => command.getKeys(pair.frontEnd.vici),
      (keys) => keys.includes(keyOf(pair.frontEnd.certificate).keyId),
    );
  });

  it('replaces a connection that somebody else loaded under our name', async () => {
    await using at = await Reconciled.start(pair.frontEnd.charon);
    await at.reconciler.setDesired(frontEnd());
    const shown = await pair.frontEnd.charon.swanctl('--list-conns');
    await command.loadConnection(pair.frontEnd.vici, CONNECTION, {
      ...plainConnection(pair.frontEnd, pair.backEnd),
      'remote-1': { auth: 'pubkey', id: 'be.example' },
    });
    await until(
      'replaced',
      () => pair.frontEnd.charon.swanctl('--list-conns'),
      (text) => text === shown,
    );
    expect(at.lines).toContain(`load ${CONNECTION} (altered)`);
  });

  it('names somebody else’s connection with the same identities', async () => {
    await using at = await Reconciled.start(pair.frontEnd.charon);
    await command.loadConnection(pair.frontEnd.vici, 'rival', plainConnection(pair.frontEnd, pair.backEnd));
    await at.reconciler.setDesired(frontEnd());
    expect(at.reconciler.status.violations).toMatchObject([
      { code: 'ipsec.conflict', connection: CONNECTION, text: expect.stringContaining('rival') as string },
    ]);
    expect(await command.getConnections(pair.frontEnd.vici)).toContain('rival');
  });

  it('ends every IKE_SA of a peer whose pin is removed, and keeps them when one is added', async () => {
    await command.loadConnection(pair.backEnd.vici, 'back', plainConnection(pair.backEnd, pair.frontEnd));
    await using at = await Reconciled.start(pair.frontEnd.charon);
    await at.reconciler.setDesired(frontEnd());
    const id = await establish();
    const successor = await makeCertificate({ name: 'be.example' });
    const { certificate } = pair.backEnd.certificate;
    expect(await at.reconciler.setDesired(frontEnd({ pins: [certificate, successor.certificate] }))).toEqual(
      [],
    );
    expect((await associations()).map((one) => one.id)).toEqual([id]);
    expect(await at.reconciler.setDesired(frontEnd({ pins: [successor.certificate] }))).toEqual([]);
    expect(at.lines).toContain(`end the IKE_SA ${id} of ${CONNECTION} (pin-removed)`);
    // It calls again, and a peer with the removed key is refused.
    await until(
      'refused',
      () => at.reconciler.status.troubles.get(CONNECTION)?.reason,
      (reason) => reason?.includes('not pinned here') === true,
    );
    expect((await associations()).filter(({ state }) => state === 'ESTABLISHED')).toEqual([]);
  });

  it('ends the associations of a peer that is removed', async () => {
    await command.loadConnection(pair.backEnd.vici, 'back', plainConnection(pair.backEnd, pair.frontEnd));
    await using at = await Reconciled.start(pair.frontEnd.charon);
    await at.reconciler.setDesired(frontEnd());
    await establish();
    await at.reconciler.setDesired(NOTHING);
    expect(await associations()).toEqual([]);
    expect(await traps()).toEqual([]);
    // The peer was told, or finds out.
    await until(
      'the peer too',
      () => collect(command.listAssociations(pair.backEnd.vici)),
      (list) => list.length === 0,
    );
  });

  it('calls a peer that does not answer again and again, with patience, and says so', async () => {
    await pair.backEnd.charon.kill('SIGKILL');
    await using at = await Reconciled.start(pair.frontEnd.charon);
    await at.reconciler.setDesired(frontEnd({ child: { startAction: 'start' } }));
    const { reason } = await until(
      'two calls',
      () => at.reconciler.status.troubles.get(CONNECTION) ?? { reason: undefined, failures: 0 },
      ({ failures, reason: why }) => failures >= 2 && why !== undefined,
    );
    expect(reason).toBe('the peer does not answer');
  });

  it('counts clear text from when it looks, and forgets it when the guard is loaded anew', async () => {
    await using at = await Reconciled.start(pair.frontEnd.charon);
    at.clearPackets = 100;
    await at.reconciler.setDesired(frontEnd());
    expect(at.reconciler.status.violations).toEqual([]);
    at.clearPackets = 103;
    await at.reconciler.refresh();
    expect(at.reconciler.status.violations).toMatchObject([
      { code: 'ipsec.clear-text', text: expect.stringMatching(/^3 packets/) as string },
    ]);
    await at.reconciler.refresh();
    expect(at.reconciler.status.violations).toHaveLength(1);
    at.clearPackets = 0;
    await at.reconciler.refresh();
    expect(at.reconciler.status.violations).toEqual([]);
  });
});
