/** What of the lab is pure: how scenarios are written, how captures are read, the archive that a kernel boots from. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { readCapture, wholePackets } from '../../lab/guest/capture.ts';
import { cpioArchive } from '../../lab/machine/cpio.ts';
import { readResults } from '../../lab/result.ts';
import { parseScenario } from '../../lab/scenario.ts';

const parse = (...lines: string[]): ReturnType<typeof parseScenario> =>
  parseScenario('s', lines.join('\n'), (name) =>
    name === 'common.dat' ? '@files a\nfront :: included\n' : '',
  );

describe('a scenario', () => {
  it('has hosts, ports, steps and expectations', () => {
    const scenario = parse(
      '# a comment',
      '@hosts front back1+vip',
      '@protects tcp/110 udp/49152-65535',
      '@include common.dat',
      'front :: two \\',
      '  lines',
      'observer :: say a::1 :: ^(\\d+) ms$ :: yes 3s :: some-ms',
      'front :: cat x :: y :: no',
    );
    expect(scenario.hosts).toEqual([
      { name: 'front', hasVirtual: false },
      { name: 'back1', hasVirtual: true },
    ]);
    expect(scenario.protects.map(({ first, last }) => [first, last])).toEqual([
      [110, 110],
      [49152, 65535],
    ]);
    expect(scenario.files).toEqual(['a']);
    expect(scenario.lines.map(({ at, command }) => [at, command])).toEqual([
      ['common.dat:2', 'included'],
      ['s:6', 'two \n  lines'],
      ['s:7', 'say a::1'],
      ['s:8', 'cat x'],
    ]);
    expect(scenario.lines[2]?.expect).toEqual({
      pattern: /^(\d+) ms$/m,
      wanted: true,
      withinMs: 3000,
      figure: 'some-ms',
    });
    expect(scenario.machines).toEqual(['uml', 'qemu']);
  });

  it.each([
    [['@hosts front', 'front :: a'], /expects nothing/],
    [['@hosts front', 'back1 :: a :: b :: yes'], /s:2: host back1 is not among @hosts/],
    [['@hosts front', 'front :: a :: b :: maybe'], /s:2: not "host :: command :: pattern/],
    [['@hosts front', 'front :: a ::  :: yes'], /s:2: not "host/],
    [['@hosts front', 'front'], /s:2: not "host :: command"/],
    [['@protects 110'], /s:1: not a protocol and port: 110/],
    [['@hotss front'], /s:1: unknown directive @hotss/],
  ])('%j is refused', (lines, message) => {
    expect(() => parse(...lines)).toThrow(message);
  });
});

/** A capture file with these Ethernet frames (hexadecimal), a millisecond apart. */
function pcap(...frames: string[]): Buffer {
  const header = Buffer.from('d4c3b2a1020004000000000000000000000004000100 0000'.replace(' ', ''), 'hex');
  const packets = frames.flatMap((frame, index) => {
    const bytes = Buffer.from(frame.replaceAll(' ', ''), 'hex');
    const record = Buffer.alloc(16);
    record.writeUInt32LE(1000, 0);
    record.writeUInt32LE(index * 1000, 4);
    record.writeUInt32LE(bytes.length, 8);
    record.writeUInt32LE(bytes.length, 12);
    return [record, bytes];
  });
  return Buffer.concat([header, ...packets]);
}

const MAC = '020000000001 020000000002';
const FRONT = '0a4d0001';
const VIP = '0a4d000a';
const STRANGER = '0a4d0032';
/** IPv4: protocol, addresses, what follows, and the field of flags and offset. */
const ip = (protocol: string, from: string, to: string, rest: string, fragment = '0000'): string => {
  const length = (20 + rest.replaceAll(' ', '').length / 2).toString(16).padStart(4, '0');
  return `${MAC} 0800 4500 ${length} 0001 ${fragment} 40 ${protocol} 0000 ${from} ${to} ${rest}`;
};
const ip6 = (next: string, rest: string): string => {
  const length = (rest.replaceAll(' ', '').length / 2).toString(16).padStart(4, '0');
  const from = 'fd77 0000 0000 0000 0000 0000 0000 0001';
  return `${MAC} 86dd 60000000 ${length} ${next} 40 ${from} fd77 0000 0000 0000 0000 0000 0000 0010 ${rest}`;
};
const POP3 = '006e';
const EPHEMERAL = 'c000';
const tcp = (from: string, to: string): string => `${from} ${to} 00000001 00000002 50180000 00000000`;

describe('a capture', () => {
  const protects = [
    { protocol: 'tcp', first: 110, last: 110 },
    { protocol: 'udp', first: 88, last: 88 },
  ] as const;

  it.each([
    ['POP3 to the back-end', ip('06', FRONT, VIP, tcp(EPHEMERAL, POP3)), 1, 0],
    ['POP3 from the back-end', ip('06', VIP, FRONT, tcp(POP3, EPHEMERAL)), 1, 0],
    [
      "POP3 to the front-end, of the internet's clients",
      ip('06', STRANGER, FRONT, tcp(EPHEMERAL, POP3)),
      0,
      0,
    ],
    [
      'a client of the back-end that happens to use port 110',
      ip('06', VIP, FRONT, tcp(EPHEMERAL, POP3)),
      0,
      0,
    ],
    ['another port', ip('06', FRONT, VIP, tcp(EPHEMERAL, '0019')), 0, 0],
    ['a later fragment, whose port nobody knows', ip('06', FRONT, VIP, '00000000', '0010'), 1, 0],
    ['Kerberos by UDP', ip('11', FRONT, VIP, `${EPHEMERAL} 0058 0010 0000 0000`), 1, 0],
    ['port 110 of UDP', ip('11', FRONT, VIP, `${EPHEMERAL} ${POP3} 0010 0000 0000`), 0, 0],
    ['ESP', ip('32', FRONT, VIP, 'c0000001 00000001 0000'), 0, 1],
    ['ESP in UDP', ip('11', FRONT, VIP, '1194 1194 0010 0000 c0000001 00000001 0000'), 0, 1],
    ['IKE on port 4500', ip('11', FRONT, VIP, '1194 1194 0010 0000 00000000 00000001 0000'), 0, 0],
    ['POP3 over IPv6', ip6('06', tcp(EPHEMERAL, POP3)), 1, 0],
    ['POP3 over IPv6 behind a header', ip6('3c', `06 00 0104 00000000 ${tcp(EPHEMERAL, POP3)}`), 1, 0],
    ['a later fragment of IPv6', ip6('2c', '06 00 0010 00000001 00000000'), 1, 0],
    ['ARP', `${MAC} 0806 ${'00'.repeat(28)}`, 0, 0],
  ])('%s', (_what, frame, clearPackets, espPackets) => {
    expect(readCapture(pcap(frame), protects)).toMatchObject({ clearPackets, espPackets });
  });

  it('is looked at from a place and a time on', () => {
    const esp = ip('32', FRONT, VIP, 'c0000001 00000001 0000');
    const three = pcap(esp, esp, esp);
    const from = wholePackets(pcap(esp));
    expect(readCapture(three, protects, { from }).espPackets).toBe(2);
    expect(readCapture(three, protects, { sinceMs: 1_000_000.5 })).toMatchObject({
      espPackets: 2,
      firstEspMs: 0.5,
    });
    expect(wholePackets(three.subarray(0, -1))).toBe(wholePackets(pcap(esp, esp)));
  });
});

it('an archive is read by cpio', () => {
  const archive = cpioArchive([{ name: 'dev' }, { name: 'init', contents: Buffer.from('hello') }]);
  const { stdout, stderr } = spawnSync('cpio', ['-tv', '--quiet'], { input: archive, encoding: 'utf8' });
  expect(stdout + stderr).toMatch(/^drwxr-xr-x .* dev\n-rwxr-xr-x .* 5 .* init\n$/);
});

it('a line that the guest is still writing is not read', () => {
  const scenario = { name: 'a', failures: [], seconds: 1, clearPackets: 0, espPackets: 0, figures: {} };
  const text = `${JSON.stringify({ scenario })}\n{"end":true}`;
  expect(readResults(text)).toEqual({ scenarios: [scenario], isEnded: false });
  expect(readResults(`${text}\n`).isEnded).toBe(true);
});
