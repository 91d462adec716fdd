/** What charon 5.9.8 really sent (test/vectors/vici/record.ts), read, and written again byte for byte. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readAssociations, readIkeRekey } from './association.ts';
import { encodeMessage, type ViciTree } from './message.ts';
import { decodePacket, type ViciPacket } from './packet.ts';
import { plain } from './section.ts';

interface Recorded {
  readonly after: string;
  readonly bytes: string;
}

const file = new URL('../../test/vectors/vici/strongswan-5.9.8.json', import.meta.url);
const recorded = JSON.parse(readFileSync(file, 'utf8')) as Recorded[];
const packets = recorded.map(({ after, bytes }) => {
  const raw = Buffer.from(bytes, 'base64');
  return { after, raw, packet: decodePacket(raw) };
});

const after = (what: string): ViciPacket[] =>
  packets.filter((one) => one.after === what).map(({ packet }) => packet);

const messages = (what: string): unknown[] =>
  after(what).map(
    (packet) =>
      JSON.parse(JSON.stringify('message' in packet ? plain(packet.message) : packet.kind)) as unknown,
  );

describe('what charon sent', () => {
  it('is written by our encoder as charon wrote it', () => {
    let compared = 0;
    for (const { raw, packet } of packets) {
      if (packet.kind !== 'event' && packet.kind !== 'response') continue;
      // Certificates are no text.
      if (packet.kind === 'event' && packet.name === 'list-cert') continue;
      const start = packet.kind === 'event' ? 2 + packet.name.length : 1;
      expect(encodeMessage(plain(packet.message) as ViciTree)).toEqual(raw.subarray(start));
      compared += 1;
    }
    expect(compared).toBeGreaterThan(12);
  });

  it('answers registrations and commands that it does not know', () => {
    expect(after('register list-sa')).toEqual([{ kind: 'confirmed' }]);
    expect(after('register nothing')).toEqual([{ kind: 'unknownEvent' }]);
    expect(after('no-such-command')).toEqual([{ kind: 'unknownCommand' }]);
    expect(messages('unload-conn none')).toEqual([
      { success: 'no', errmsg: "unload: connection 'none' not found" },
    ]);
  });

  it('lists connections, traps and keys', () => {
    expect(messages('get-conns')).toEqual([{ conns: ['one'] }]);
    expect(messages('get-keys')).toEqual([{ keys: [expect.stringMatching(/^[0-9a-f]{40}$/)] }]);
    expect(messages('list-conns')).toMatchObject([
      { one: { version: 'IKEv2', dpd_delay: '2', 'remote-1': { id: 'be.example', cacerts: [] } } },
      {},
    ]);
    expect(messages('list-policies')).toMatchObject([
      { 'one/mail': { ike: 'one', child: 'mail', mode: 'TRANSPORT' } },
      {},
    ]);
    expect(after('list-certs')).toMatchObject([
      { name: 'list-cert' },
      { name: 'list-cert' },
      { kind: 'response' },
    ]);
  });

  it('tells of associations', () => {
    const [up] = after('initiate');
    const [listed] = after('list-sas');
    const [rekeyed] = after('rekey');
    const [down] = after('terminate');
    const established = {
      connection: 'one',
      state: 'ESTABLISHED',
      remote: { address: '10.66.0.2', port: 500, id: 'be.example' },
    };
    expect(up).toMatchObject({ name: 'ike-updown' });
    for (const packet of [up, listed])
      expect(packet !== undefined && 'message' in packet && readAssociations(packet.message)).toMatchObject([
        established,
      ]);
    expect(rekeyed !== undefined && 'message' in rekeyed && readIkeRekey(rekeyed.message)).toMatchObject([
      { old: { id: 1 }, new: { id: 2, connection: 'one' } },
    ]);
    expect(down !== undefined && 'message' in down && readAssociations(down.message)).toMatchObject([
      { state: 'DELETING' },
    ]);
  });
});
