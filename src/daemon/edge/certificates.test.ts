/** What is told to an edge about the keys of its hubs, by whoever can reach its port. */
import { beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../../test/fakes/clock.ts';
import { fakeRandom } from '../../../test/fakes/random.ts';
import { OVERLAP_MS, RolloverPair } from '../../../test/support/rollover-pair.ts';
import { createIdentity, type Identity } from '../../certificate/identity.ts';
import { pinBytes, pinFromBytes } from '../../certificate/pin.ts';
import { stateNextCertificate } from '../../certificate/statement.ts';
import { Session } from '../../directory/session.ts';
import { decodeIdentities, encodeIdentities, type Identities } from '../../ldap/identity-values.ts';
import type { AdmittedHub } from '../../credential/credential-state.ts';

const random = fakeRandom('told');
const clock = new FakeClock();
let pair: RolloverPair;
let stranger: Identity;
let next: Identity;

beforeEach(async () => {
  pair = await RolloverPair.make(clock);
  [stranger, next] = (await Promise.all(
    ['hub1.example', 'hub1.example'].map((name) => createIdentity(name, { clock, random })),
  )) as [Identity, Identity];
});

const hub = (): AdmittedHub => pair.edge.node.store.value.hubs['hub1'] as AdmittedHub;
const own = (): Identity => pair.hub.node.identity;

async function tell(
  as: Identity | undefined,
  told: Partial<Identities> = {},
  facts: { resumed?: boolean } = {},
): Promise<Identities> {
  const session = new Session({
    kind: 'tls',
    ...(as === undefined ? {} : { peerCertificate: as.certificate.der }),
    ...facts,
  });
  const request = encodeIdentities({ statements: [], holds: [], ...told });
  return decodeIdentities((await pair.edge.certificates.handle(request, session)).value);
}

const says = (by: Identity, successor: Identity, issuedAt = clock.now(), subject = 'hub1.example'): Buffer =>
  stateNextCertificate(by, successor, { subject, issuedAt });

describe('the identities operation on an edge', () => {
  it('tells anybody what the edge states, and only its hubs by which pins it knows them', async () => {
    for (const as of [undefined, stranger]) {
      const heard = await tell(as);
      expect(heard.statements).toEqual(pair.edge.keeper.statements);
      expect(heard.holds).toEqual([]);
    }
    expect((await tell(own())).holds).toEqual([pinBytes(own().pin)]);
    // A resumed session proves no key.
    expect((await tell(own(), {}, { resumed: true })).holds).toEqual([]);
  });

  it('takes the next key of a hub, told under the present or the next one', async () => {
    for (const as of [own(), next]) {
      const heard = await tell(as, { statements: [says(own(), next)] });
      expect(heard.holds.map(pinFromBytes)).toEqual([own().pin, next.pin]);
    }
    expect(hub().nextCertificate).toEqual(next.certificate.der);
  });

  it.each<[string, () => readonly [Identity, Buffer]]>([
    ['a stranger announces a next certificate of the hub', () => [stranger, says(stranger, next)]],
    [
      'a stranger tells what the hub has really said, of a key that he does not have',
      () => [stranger, says(own(), next)],
    ],
    ['another hub announces for this one', () => [stranger, says(pair.edge.node.identity, next)]],
    ['the hub announces for another', () => [own(), says(own(), next, clock.now(), 'hub2.example')]],
    ['rubbish', () => [stranger, Buffer.from('rubbish')]],
  ])('%s: nothing changes', async (_what, make) => {
    const before = hub();
    const [as, statement] = make();
    await tell(as, { statements: [statement] });
    expect(hub()).toBe(before);
  });

  it('a former key leads nowhere when the overlap is over, whatever it states and whatever is replayed', async () => {
    const former = own();
    await pair.hub.keeper.renew();
    while (pair.hub.node.store.value.rollover.phase !== 'steady' || own() === former) await pair.contact();
    await clock.advance(OVERLAP_MS);
    await pair.edge.certificates.settle();
    const before = hub();
    expect(before.pins.current).toBe(own().pin);
    expect((await tell(former)).holds).toEqual([]);
    for (const statement of [says(former, stranger, clock.now() + 1e6), ...pair.hub.keeper.statements])
      expect((await tell(stranger, { statements: [statement] })).holds).toEqual([]);
    await tell(former, { statements: pair.hub.keeper.statements });
    expect(hub()).toBe(before);
  });

  it('a hub that says what it does not hold makes the edge switch too early for it alone, and follows the statement', async () => {
    await pair.edge.keeper.renew();
    const { next: announced } = pair.edge.node.store.value.rollover;
    expect(announced).toBeDefined();
    await tell(own(), { holds: announced === undefined ? [] : [pinBytes(announced)] });
    expect(pair.edge.node.identity.pin).toBe(announced);
    expect(await pair.contact()).toBeUndefined();
  });

  it('nobody but a hub moves the rollover of the edge', async () => {
    await pair.edge.keeper.renew();
    const { next: announced } = pair.edge.node.store.value.rollover;
    for (const as of [undefined, stranger])
      await tell(as, { holds: announced === undefined ? [] : [pinBytes(announced)] });
    expect(pair.edge.node.store.value.rollover).toMatchObject({ phase: 'announced', confirmed: [] });
  });
});

describe('an edge towards its hub', () => {
  it('that says it holds a pin and does not, shuts its own hub out, which tries the former key in its turn', async () => {
    await pair.hub.keeper.renew();
    const former = own();
    const link = pair.hub.identities.of('edge1');
    const { next: announced } = pair.hub.node.store.value.rollover;
    await link.met(
      { statements: [], holds: announced === undefined ? [] : [announced] },
      pair.edge.node.identity.pin,
      former.pin,
    );
    expect(pair.hub.node.identity.pin).toBe(announced);
    link.refused();
    expect(pair.hub.identities.shown('edge1').pin).toBe(former.pin);
    link.refused();
    expect(pair.hub.identities.shown('edge1').pin).toBe(announced);
  });

  it('that shows a key which its own word does not lead to is not followed', async () => {
    const link = pair.hub.identities.of('edge1');
    const forged = stateNextCertificate(stranger, next, { subject: 'edge1.example', issuedAt: clock.now() });
    expect(await link.follow([forged], next.pin)).toBeUndefined();
    await pair.edge.keeper.renew();
    // The right word, told by somebody who has another key.
    expect(await link.follow(pair.edge.keeper.statements, stranger.pin)).toBeUndefined();
  });
});
