import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/clock.ts';
import { fakeRandom } from '../../test/fakes/random.ts';
import { hand } from '../../test/support/hand-vici.ts';
import { event, PlayedVici, response, UNKNOWN_EVENT } from '../../test/support/played-vici.ts';
import { until } from '../../test/support/until.ts';
import { silentLog } from '../base/log.ts';
import { ViciSession } from './session.ts';

function open(played: PlayedVici, clock: FakeClock) {
  const seen: string[] = [];
  const session = new ViciSession({
    path: played.path,
    clock,
    random: fakeRandom(),
    log: silentLog,
    events: ['ike-updown', 'novelty'],
    onEvent: (name) => void seen.push(name),
    onUp: () => void seen.push('up'),
    onDown: (error) => void seen.push(`down ${error.code}`),
  });
  return { session, seen };
}

const answer: PlayedVici['answer'] = (packet) =>
  packet.kind === 'register' && packet.name === 'novelty'
    ? UNKNOWN_EVENT
    : packet.kind === 'request'
      ? response(hand.value('a', 'b'))
      : undefined;

const whenUp = (session: ViciSession): Promise<boolean> => until('up', () => session.up, Boolean);

describe('a session', () => {
  it('has two connections, is told of events, and does without those that this charon lacks', async () => {
    await using played = await PlayedVici.open(answer);
    const { session, seen } = open(played, new FakeClock());
    await using _ = session;
    await expect(session.call('x')).rejects.toMatchObject({ code: 'vici.unreachable' });
    session.start();
    await whenUp(session);
    expect(played.sockets.size).toBe(2);
    expect(session.missingEvents).toEqual(['novelty']);
    await session.call('x');
    [...played.sockets][0]?.write(event('ike-updown'));
    await until(
      'told',
      () => seen,
      (list) => list.includes('ike-updown'),
    );
    expect(seen).toEqual(['up', 'ike-updown']);
  });

  it('notices a death at once, tries again with patience, and comes back', async () => {
    await using played = await PlayedVici.open(answer);
    const clock = new FakeClock();
    const { session, seen } = open(played, clock);
    await using _ = session;
    session.start();
    await whenUp(session);
    await played.close();
    await until(
      'down',
      () => session.up,
      (up) => !up,
    );
    await expect(session.call('x')).rejects.toMatchObject({ code: 'vici.unreachable' });
    for (let attempt = 0; attempt < 8; attempt++) {
      await clock.armed('vici.again');
      await clock.advance(1000);
    }
    await clock.armed('vici.again');
    await played.listen();
    await clock.advance(1000);
    await whenUp(session);
    expect(seen[0]).toBe('up');
    expect(seen[1]).toBe('down vici.closed');
    expect(seen.slice(2, -1).every((line) => line === 'down vici.unreachable')).toBe(true);
    expect(seen.at(-1)).toBe('up');
    expect(played.sockets.size).toBe(2);
  });

  it('replaces both connections when one of them is lost', async () => {
    await using played = await PlayedVici.open(answer);
    const clock = new FakeClock();
    const { session, seen } = open(played, clock);
    await using _ = session;
    session.start();
    await whenUp(session);
    const [first] = played.sockets;
    first?.destroy();
    await clock.armed('vici.again');
    await until(
      'both are gone',
      () => played.sockets.size,
      (size) => size === 0,
    );
    await clock.advance(1000);
    await whenUp(session);
    expect(played.sockets.size).toBe(2);
    expect(seen).toEqual(['up', 'down vici.closed', 'up']);
  });

  it('is quiet after its end, also in the middle of an attempt', async () => {
    await using played = await PlayedVici.open(() => undefined);
    played.answer = (packet) => (packet.kind === 'register' ? Buffer.alloc(0) : undefined);
    const { session, seen } = open(played, new FakeClock());
    session.start();
    await until(
      'registering',
      () => played.asked.length,
      (count) => count > 0,
    );
    session.stop();
    await until(
      'closed',
      () => played.sockets.size,
      (size) => size === 0,
    );
    expect(seen).toEqual([]);
    expect(session.up).toBe(false);
  });
});
