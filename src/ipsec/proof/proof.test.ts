import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BACK_END, FRONT_END, policyOf } from '../../../test/support/ipsec-policy.ts';
import { NetworkPair } from '../../../test/support/network-namespace.ts';
import { Talker } from '../../../test/support/network-talk.ts';
import { isPosternError } from '../../base/error.ts';
import { DecodeError } from '../../base/decode-error.ts';
import { systemClock } from '../../base/clock.ts';
import { guardScope } from '../guard/scope.ts';
import { capture } from './capture.ts';
import { readPacket } from './packet.ts';
import { PcapReader } from './pcap.ts';
import { formatProof, proofReport, type ProofFacts } from './report.ts';
import { type Tally, Tallying } from './tally.ts';

const RAW = 101;

interface Made {
  from: string;
  to: string;
  protocol?: number;
  sport?: number;
  dport?: number;
  /** Fragment offset in octets, and whether more follow. */
  offset?: number;
  more?: boolean;
  id?: number;
  payload?: Buffer;
}

/** IPv4 and IPv6 packets by the letter of the RFCs; the counterpart of the reader. */
function make({
  from,
  to,
  protocol = 6,
  sport = 40_000,
  dport = 110,
  offset = 0,
  more = false,
  id = 7,
  payload = Buffer.alloc(0),
}: Made): Buffer {
  const ports = Buffer.alloc(protocol === 6 ? 20 : 8);
  ports.writeUInt16BE(sport, 0);
  ports.writeUInt16BE(dport, 2);
  const isTransport = (protocol === 6 || protocol === 17) && offset === 0;
  const body = Buffer.concat([isTransport ? ports : Buffer.alloc(8), payload]);
  if (from.includes(':')) {
    const head = Buffer.alloc(40);
    head[0] = 0x60;
    const isFragment = offset > 0 || more;
    head[6] = isFragment ? 44 : protocol;
    head.set(v6(from), 8);
    head.set(v6(to), 24);
    const extension = Buffer.alloc(8);
    extension[0] = protocol;
    extension.writeUInt16BE(offset | (more ? 1 : 0), 2);
    extension.writeUInt32BE(id, 4);
    return Buffer.concat([head, ...(isFragment ? [extension] : []), body]);
  }
  const head = Buffer.alloc(20);
  head[0] = 0x45;
  head.writeUInt16BE(id, 4);
  head.writeUInt16BE((offset / 8) | (more ? 0x2000 : 0), 6);
  head[9] = protocol;
  head.set(from.split('.').map(Number), 12);
  head.set(to.split('.').map(Number), 16);
  return Buffer.concat([head, body]);
}

function v6(text: string): Buffer {
  const [left = '', right = ''] = text.split('::');
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const zeros = Array.from({ length: 8 - groups(left).length - groups(right).length }, () => '0');
  return Buffer.from(
    [...groups(left), ...zeros, ...groups(right)].map((group) => group.padStart(4, '0')).join(''),
    'hex',
  );
}

function tally(toml: string, ...packets: Made[]): Tally {
  const policy = policyOf(toml);
  const own = policy.own.flatMap(({ addresses }) => Object.values(addresses));
  const tallying = new Tallying(guardScope(policy), own);
  for (const one of packets) {
    const packet = readPacket(make(one), RAW);
    if (packet !== undefined) tallying.count(packet, 0);
  }
  return tallying.result;
}
const clear = ({ clear: found }: Tally): string[] =>
  found.map(
    ({ direction, peer, protocol, port, packets }) => `${packets} ${direction} ${peer} ${protocol}/${port}`,
  );

const OUT = { from: '192.0.2.10', to: '192.0.2.50' };
const IN = { from: '192.0.2.50', to: '192.0.2.10', sport: 110, dport: 40_000 };
const OUT6 = { from: '2001:db8::10', to: '2001:db8::50' };

describe('what a capture shows', () => {
  it.each<[string, Made[], string[]]>([
    ['clear text that leaves', [OUT, OUT], ['2 out 192.0.2.50 6/110']],
    ['clear text that arrives', [IN], ['1 in 192.0.2.50 6/110']],
    ['clear text over IPv6', [OUT6], ['1 out 2001:db8::50 6/110']],
    ['other ports', [{ ...OUT, dport: 25 }], []],
    ['another protocol', [{ ...OUT, protocol: 17 }], []],
    ['other hosts', [{ ...OUT, to: '192.0.2.51' }], []],
    ['ESP', [{ ...OUT, protocol: 50 }], []],
    ['key exchange', [{ ...OUT, protocol: 17, sport: 500, dport: 500 }], []],
    [
      'fragments after the first',
      [
        { ...OUT, more: true },
        { ...OUT, offset: 1480 },
      ],
      ['2 out 192.0.2.50 6/110'],
    ],
    [
      'fragments of IPv6',
      [
        { ...OUT6, more: true },
        { ...OUT6, offset: 1448 },
      ],
      ['2 out 2001:db8::50 6/110'],
    ],
    [
      'fragments of ESP',
      [
        { ...OUT, protocol: 50, more: true },
        { ...OUT, protocol: 50, offset: 1480 },
      ],
      [],
    ],
  ])('%s', (_name, packets, found) => {
    expect(clear(tally(FRONT_END, ...packets))).toEqual(found);
  });

  it('is counted by direction, and ESP within UDP is told from key exchange', () => {
    const nat = { protocol: 17, sport: 4500, dport: 4500 };
    const found = tally(
      FRONT_END,
      { ...OUT, protocol: 50 },
      { from: IN.from, to: IN.to, ...nat, payload: Buffer.from('c0ffee0100000001', 'hex') },
      { from: IN.from, to: IN.to, ...nat, payload: Buffer.from('00000000c0ffee01', 'hex') },
    );
    expect(found).toMatchObject({ esp: { in: 1, out: 1 }, keyExchange: 1, packets: 3 });
  });

  it('keeps strangers apart, who may send what they like', () => {
    const stranger = { from: '203.0.113.9', to: '192.0.2.50' };
    const found = tally(
      BACK_END,
      { ...stranger, from: '198.51.100.1' },
      { from: '192.0.2.50', to: '203.0.113.9', sport: 110, dport: 9 },
    );
    expect([clear(found), found.strangers]).toEqual([['1 out 203.0.113.9 6/110'], []]);
    expect(tally(BACK_END, stranger).strangers).toHaveLength(1);
  });

  it('knows what it does not know: fragments without a beginning', () => {
    expect(tally(FRONT_END, { ...OUT, offset: 1480 })).toMatchObject({ unknownFragments: 1, clear: [] });
    expect(tally(FRONT_END, { ...OUT, offset: 1480 }, { ...OUT, more: true })).toMatchObject({
      unknownFragments: 0,
    });
  });

  it('takes any octets', () => {
    const tallying = new Tallying(guardScope(policyOf(FRONT_END)), ['192.0.2.10']);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.constantFrom(1, 101, 113, 276, 9), (bytes, link) => {
        const packet = readPacket(Buffer.from(bytes), link);
        if (packet !== undefined) tallying.count(packet, 0);
      }),
    );
    const whole = make({ ...OUT6, more: true });
    for (let length = 0; length <= whole.length; length++) readPacket(whole.subarray(0, length), RAW);
  });
});

describe('captures as a stream', () => {
  const head = Buffer.from('d4c3b2a1020004000000000000000000000004006500000' + '0', 'hex');
  const record = (body: Buffer): Buffer => {
    const prefix = Buffer.alloc(16);
    prefix.writeUInt32LE(5, 0);
    prefix.writeUInt32LE(250_000, 4);
    prefix.writeUInt32LE(body.length, 8);
    return Buffer.concat([prefix, body]);
  };
  const stream = Buffer.concat([head, record(make(OUT)), record(make(OUT6))]);

  it('are read wherever they are split', () => {
    for (let split = 0; split <= stream.length; split++) {
      const reader = new PcapReader();
      const frames = [...reader.push(stream.subarray(0, split)), ...reader.push(stream.subarray(split))];
      expect(frames.map(({ at, link, bytes }) => [at, link, bytes.length])).toEqual([
        [5250, 101, make(OUT).length],
        [5250, 101, make(OUT6).length],
      ]);
    }
  });

  it('are refused when they are something else', () => {
    expect(() => new PcapReader().push(Buffer.alloc(24))).toThrow(DecodeError);
    const huge = Buffer.concat([head, Buffer.alloc(16, 0x7f)]);
    expect(() => new PcapReader().push(huge)).toThrow(/too large/);
  });
});

describe('the report', () => {
  const empty: Tally = {
    packets: 5,
    esp: { in: 1, out: 1 },
    keyExchange: 0,
    clear: [],
    strangers: [],
    unknownFragments: 0,
  };
  const facts: ProofFacts = {
    from: 0,
    to: 10_000,
    tally: empty,
    lost: 0,
    cut: undefined,
    guard: { state: 'ok', drops: true, counted: { clear_in: 0 } },
  };
  it.each<[string, Partial<ProofFacts>, string, RegExp]>([
    ['ESP and no clear text', {}, 'proved', /1 packets of ESP in and 1 out; the guard stands/],
    ['without the guard', { guard: { ...facts.guard, drops: false } }, 'proved', /only this time is proved/],
    ['no ESP', { tally: { ...empty, esp: { in: 0, out: 0 } } }, 'nothing', /no ESP at all/],
    ['a loss', { lost: 3 }, 'nothing', /lost 3 packets/],
    ['a fragment', { tally: { ...empty, unknownFragments: 1 } }, 'nothing', /beginning was not seen/],
    ['an early end', { cut: 'it was stopped' }, 'nothing', /it was stopped/],
    [
      'clear text',
      {
        lost: 1,
        tally: {
          ...empty,
          clear: [{ direction: 'out', peer: '192.0.2.50', protocol: 6, port: 110, packets: 2, firstAt: 1 }],
        },
      },
      'violated',
      /2 packets in clear to 192\.0\.2\.50, tcp\/110/,
    ],
  ])('%s', (_name, change, verdict, because) => {
    const report = proofReport({ ...facts, ...change });
    expect([report.verdict, report.because.join('\n')]).toEqual([verdict, expect.stringMatching(because)]);
    expect(formatProof(report)).toMatch(/^(PROVED|VIOLATED|PROVES NOTHING) \(10 s/);
  });
});

describe('tcpdump', () => {
  let pair: NetworkPair;
  let a: Talker;
  let b: Talker;
  beforeAll(async () => {
    pair = await NetworkPair.create();
    [a, b] = [await Talker.inside(pair.a), await Talker.inside(pair.b)];
    for (const host of ['10.66.0.2', 'fd66::2']) await b.serve(host, 25, 110, 389);
  });
  afterAll(async () => {
    await a[Symbol.asyncDispose]();
    await b[Symbol.asyncDispose]();
    await pair[Symbol.asyncDispose]();
  });
  const policy = policyOf(
    FRONT_END.replaceAll('192.0.2.10', '10.66.0.1')
      .replaceAll('192.0.2.50', '10.66.0.2')
      .replaceAll('2001:db8::10', 'fd66::1')
      .replaceAll('2001:db8::50', 'fd66::2')
      .replace('"passwords"', '"tcp/110", "udp/389"'),
  );
  const seen = async (talk: () => Promise<unknown>): Promise<Tally> => {
    const stop = new AbortController();
    const { tally: found } = await capture({
      scope: guardScope(policy),
      own: ['10.66.0.1', 'fd66::1'],
      seconds: 60,
      clock: systemClock,
      signal: stop.signal,
      enter: pair.a.enter(),
      onBegin: () => void talk().finally(() => stop.abort()),
    });
    return found;
  };
  const never = (): Promise<boolean> => Promise.resolve(false);

  it('finds clear text on protected ports, fragments included, and no other', async () => {
    const found = await seen(async () => {
      await a.tcp('10.66.0.2', 110, never);
      await a.tcp('10.66.0.2', 25, never);
      await a.udp('fd66::2', 389, never, { size: 4000 });
    });
    expect(found.clear.map(({ direction, peer, port }) => `${direction} ${peer} ${port}`).sort()).toEqual([
      'in 10.66.0.2 110',
      'in fd66::2 389',
      'out 10.66.0.2 110',
      'out fd66::2 389',
    ]);
    // 4,000 octets are three fragments each way.
    expect(found.clear.find(({ direction, port }) => direction === 'out' && port === 389)?.packets).toBe(3);
    expect(found.unknownFragments).toBe(0);
  });

  it('says why it cannot capture', async () => {
    const nowhere = capture({
      scope: guardScope(policy),
      own: [],
      seconds: 1,
      clock: systemClock,
      device: 'nowhere0',
      enter: pair.a.enter(),
    });
    await expect(nowhere).rejects.toSatisfy(
      (error) => isPosternError(error, 'refused') && /nowhere0/.test(error.message),
    );
  });
});
