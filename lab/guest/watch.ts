/** The capture of one scenario: tcpdump on the bridge, and questions about what it has caught so far. */
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { setTimeout as after } from 'node:timers/promises';
import { finds } from '../../test/support/tcp-capture.ts';
import type { ProtectedPort } from '../scenario.ts';
import { type CaptureReport, readCapture, wholePackets } from './capture.ts';
import type { Host } from './host.ts';

export class Watch {
  readonly file: string;
  readonly #observer: Host;
  readonly #protects: readonly ProtectedPort[];
  readonly #marker: string;
  #from = 0;
  #sinceMs = 0;
  #syncs = 0;

  private constructor(observer: Host, file: string, protects: readonly ProtectedPort[], marker: string) {
    this.#observer = observer;
    this.file = file;
    this.#protects = protects;
    this.#marker = marker;
  }

  static async start(
    observer: Host,
    file: string,
    protects: readonly ProtectedPort[],
    marker: string,
  ): Promise<Watch> {
    const { status, output } = await observer.run(
      [
        `tcpdump -i br0 -n -s 0 -B 16384 -U --immediate-mode -Z root -w ${file} >/run/tcpdump.log 2>&1 &`,
        'echo $! >/run/tcpdump.pid',
        'until grep -q "listening on" /run/tcpdump.log; do kill -0 $! && sleep 0.05 || exit 1; done',
        'cat /run/tcpdump.log',
      ].join('\n'),
    );
    if (status !== 0) throw new Error(`tcpdump: ${output}`);
    return new Watch(observer, file, protects, marker);
  }

  /** What comes before is not looked at any more. */
  async mark(): Promise<void> {
    this.#from = wholePackets(await this.#caught());
    this.#sinceMs = Date.now();
  }

  async report(): Promise<CaptureReport & { readonly hasMarker: boolean }> {
    const pcap = await this.#caught();
    const report = readCapture(pcap, this.#protects, { from: this.#from, sinceMs: this.#sinceMs });
    const bytes = pcap.subarray(Math.max(this.#from, 0));
    return { ...report, hasMarker: finds([{ fromPort: 0, toPort: 0, bytes }], this.#marker) };
  }

  /** Throws when a packet was lost, since then nothing is proved. */
  async stop(): Promise<void> {
    const { output } = await this.#observer.run(
      'kill -INT $(cat /run/tcpdump.pid); while kill -0 $(cat /run/tcpdump.pid) 2>/dev/null; do sleep 0.02; done; cat /run/tcpdump.log',
    );
    if (!/^0 packets dropped by kernel/m.test(output)) throw new Error(`tcpdump: ${output}`);
  }

  /** Everything that was sent before this call: a datagram of our own follows it over the bridge. */
  async #caught(): Promise<Buffer> {
    this.#syncs += 1;
    const last = `postern-lab-capture-${this.#syncs}-of-${process.pid}`;
    const socket = createSocket('udp4');
    try {
      await new Promise<void>((resolve) => socket.bind(0, () => resolve()));
      socket.setBroadcast(true);
      for (let tries = 0; tries < 50; tries++) {
        socket.send(last, 9, '10.77.0.255');
        await after(20);
        const pcap = readFileSync(this.file);
        if (pcap.includes(last)) return pcap;
      }
    } finally {
      socket.close();
    }
    throw new Error('the capture on the bridge does not catch what goes over it');
  }
}
