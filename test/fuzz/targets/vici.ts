/** What charon says over vici, and what `ip xfrm` and strongswan.conf hold: whoever writes there is root, but none of it may end the daemon. */
import { decodePacket, encodeRequest } from '../../../src/vici/packet.ts';
import { encodeMessage, decodeMessage, type ViciTree } from '../../../src/vici/message.ts';
import { ViciFramer } from '../../../src/vici/framer.ts';
import { readAssociations, readChildRekey, readIkeRekey } from '../../../src/vici/association.ts';
import { plain } from '../../../src/vici/section.ts';
import { hand } from '../../support/hand-vici.ts';
import { type FuzzTarget, mustBeEqual, valueOrRefusal } from '../target.ts';

const SA = hand.section(
  'postern-a',
  hand.value('uniqueid', '1'),
  hand.value('state', 'ESTABLISHED'),
  hand.section(
    'child-sas',
    hand.section('c-1', hand.value('mode', 'TRANSPORT'), hand.list('local-ts', '10.0.0.1/32[tcp/110]')),
  ),
);

/** A stream of packets: cut anywhere it is the same, and a message that is read is written as it was. */
export const VICI: FuzzTarget = {
  name: 'vici',
  shape: 'bytes',
  mostBytes: 4096,
  words: [
    Buffer.of(0, 0, 0, 1),
    Buffer.of(1, 1, 0x61),
    Buffer.of(2),
    Buffer.of(3, 1, 0x61, 0, 1, 0x62),
    Buffer.of(4, 1, 0x61),
    Buffer.of(5, 0, 1, 0x62),
    Buffer.of(6),
    Buffer.of(0, 8, 0, 1),
    'child-sas',
    'old',
    'new',
    'uniqueid',
  ],
  steps: { base: 4000, perByte: 400 },
  examples: () => [
    hand.packet(0, 'version'),
    hand.packet(1, undefined, hand.value('success', 'yes')),
    Buffer.concat([hand.packet(5, undefined), hand.packet(7, 'list-sa', SA), hand.packet(1, undefined)]),
    hand.packet(7, 'child-updown', hand.value('up', 'yes'), SA),
    hand.packet(7, 'ike-rekey', hand.section('postern-a', hand.section('old', SA), hand.section('new', SA))),
    encodeRequest('load-conn', { a: { b: ['c', 'd'], e: {} } }),
  ],
  run(input) {
    const whole = framesOf([input]);
    const half = input.length >> 1;
    mustBeEqual(framesOf([input.subarray(0, half), input.subarray(half)]), whole, 'a stream that is cut');
    for (const bytes of whole.frames) {
      const packet = valueOrRefusal(() => decodePacket(bytes));
      if (packet === undefined || !('message' in packet)) continue;
      readAssociations(packet.message);
      readIkeRekey(packet.message);
      readChildRekey(packet.message);
      const tree = plain(packet.message);
      // A name that is no UTF-8 becomes longer, maybe too long.
      const written = valueOrRefusal(() => encodeMessage(tree as ViciTree));
      if (written !== undefined) mustBeEqual(plain(decodeMessage(written)), tree, 'a message');
    }
  },
};

function framesOf(chunks: readonly Buffer[]): { frames: Buffer[]; refused: boolean } {
  const framer = new ViciFramer();
  const frames: Buffer[] = [];
  let refused = false;
  for (const chunk of chunks) {
    framer.push(chunk);
    const went = valueOrRefusal(() => {
      for (const frame of framer) frames.push(frame);
      return true;
    });
    refused ||= went === undefined;
  }
  return { frames, refused };
}
