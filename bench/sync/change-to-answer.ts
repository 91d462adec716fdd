/** From a change at slapd to another answer of the edge's socketmap, through both daemons. */
import { systemClock } from '../../src/base/clock.ts';
import { Secret } from '../../src/base/secret.ts';
import { connectLdap, type LdapClient } from '../../src/ldap/client.ts';
import type { Slapd } from '../../test/support/slapd.ts';
import type { SocketmapClient } from '../../test/support/socketmap-client.ts';
import { median, percentile, type Report, round } from '../report.ts';
import type { BenchSite } from './site.ts';

export interface ChangeOptions {
  /** People in slapd. */
  readonly count: number;
  /** Changes measured without and with load. */
  readonly samples: number;
  /** Other changes a second while measuring under load. */
  readonly loadPerSecond: number;
}

/** The edge is asked again after so long; half of it is the error of a measurement. */
const POLL_MS = 1;
/** Pause between two measured changes, so that they meet any phase of what else goes on. */
const PAUSE_MS = 15;

export async function benchChangeToAnswer(
  report: Report,
  slapd: Slapd,
  site: BenchSite,
  options: ChangeOptions,
): Promise<void> {
  await using writer = await connect(slapd);
  await using asker = await site.socketmap();
  await measure(writer, asker, slapd, 'warm', 20, options.count);
  await reportQuestion(report, asker);
  add(report, '', await measure(writer, asker, slapd, 'quiet', options.samples, options.count));
  await using load = await Load.start(slapd, options);
  add(report, 'loaded-', await measure(writer, asker, slapd, 'loaded', options.samples, options.count));
  const { rate, late } = await load.stop();
  report.note(`beside ${round(rate)} other changes a second (the latest was sent ${round(late)} ms late)`);
  await load.prove(asker);
}

interface Times {
  readonly appeared: readonly number[];
  readonly disappeared: readonly number[];
  /** slapd's own answers. */
  readonly written: readonly number[];
}

/** Each sample is an address that somebody gets, and loses again. */
async function measure(
  writer: LdapClient,
  asker: SocketmapClient,
  slapd: Slapd,
  name: string,
  samples: number,
  count: number,
): Promise<Times> {
  const times = { appeared: [] as number[], disappeared: [] as number[], written: [] as number[] };
  for (let sample = 0; sample < samples / 2; sample++) {
    const person = Math.floor((sample * count) / samples) * 2 + 1;
    const address = `probe.${name}.${sample}@example.org`;
    for (const kind of ['add', 'delete'] as const) {
      const start = systemClock.monotonic();
      const written = changeAddress(writer, slapd, person, kind, address).then(() =>
        times.written.push(systemClock.monotonic() - start),
      );
      const wanted = kind === 'add' ? 'OK' : 'NOTFOUND';
      while (!(await asker.ask('recipients', address)).startsWith(wanted))
        await systemClock.sleep('bench', POLL_MS);
      times[kind === 'add' ? 'appeared' : 'disappeared'].push(systemClock.monotonic() - start);
      await written;
      await systemClock.sleep('bench', PAUSE_MS);
    }
  }
  return times;
}

function add(report: Report, load: '' | 'loaded-', times: Times): void {
  const all = [...times.appeared, ...times.disappeared];
  report.add({ name: `change-to-answer-${load}median-ms`, value: median(all), unit: 'ms' });
  report.add({ name: `change-to-answer-${load}p99-ms`, value: percentile(all, 0.99), unit: 'ms' });
  report.note(
    `${all.length} changes; an address appears after ${spread(times.appeared)}, disappears after ${spread(times.disappeared)}, slapd answers the writer after ${spread(times.written)} (median, p99, ms)`,
  );
}

function spread(values: readonly number[]): string {
  return `${round(median(values))}, ${round(percentile(values, 0.99))}`;
}

async function reportQuestion(report: Report, asker: SocketmapClient): Promise<void> {
  const times: number[] = [];
  for (let n = 0; n < 200; n++) {
    const start = systemClock.monotonic();
    await asker.ask('recipients', 'nobody@example.org');
    times.push(systemClock.monotonic() - start);
    await systemClock.sleep('bench', POLL_MS);
  }
  report.note(`a question takes ${spread(times)} ms (median, p99), asked again after ${POLL_MS} ms`);
}

/** Changes at a steady rate, on time whatever the answers do: addresses that come, and go five hundred changes later. */
class Load implements AsyncDisposable {
  readonly #client: LdapClient;
  readonly #slapd: Slapd;
  readonly #options: ChangeOptions;
  readonly #start = systemClock.monotonic();
  readonly #done: Promise<void>;
  readonly #failures: unknown[] = [];
  #stopped = false;
  #sent = 0;
  #late = 0;

  private constructor(client: LdapClient, slapd: Slapd, options: ChangeOptions) {
    this.#client = client;
    this.#slapd = slapd;
    this.#options = options;
    this.#done = this.#run();
  }

  static async start(slapd: Slapd, options: ChangeOptions): Promise<Load> {
    return new Load(await connect(slapd), slapd, options);
  }

  async stop(): Promise<{ rate: number; late: number }> {
    this.#stopped = true;
    await this.#done;
    if (this.#failures.length > 0) throw new Error('changes failed', { cause: this.#failures[0] });
    return { rate: (this.#sent / (systemClock.monotonic() - this.#start)) * 1000, late: this.#late };
  }

  /** All of it has arrived. */
  async prove(asker: SocketmapClient): Promise<void> {
    const giveUpAt = systemClock.monotonic() + 60_000;
    for (let n = Math.max(0, this.#sent - 400); n < this.#sent; n++) {
      if (!isAddition(n)) continue;
      while ((await asker.ask('recipients', loadAddress(n))) === 'NOTFOUND ') {
        if (systemClock.monotonic() > giveUpAt) throw new Error(`change ${n} never arrived`);
        await systemClock.sleep('bench', 20);
      }
    }
  }

  async #run(): Promise<void> {
    const inFlight = new Set<Promise<void>>();
    for (; !this.#stopped; this.#sent++) {
      const due = this.#start + (this.#sent * 1000) / this.#options.loadPerSecond;
      const wait = due - systemClock.monotonic();
      if (wait > 0) await systemClock.sleep('bench', wait);
      this.#late = Math.max(this.#late, systemClock.monotonic() - due);
      const n = isAddition(this.#sent) ? this.#sent : this.#sent - BACK;
      const kind = isAddition(this.#sent) ? 'add' : 'delete';
      const person = (n * 2) % this.#options.count;
      const sent: Promise<void> = changeAddress(this.#client, this.#slapd, person, kind, loadAddress(n))
        .catch((error: unknown) => void this.#failures.push(error))
        .finally(() => inFlight.delete(sent));
      inFlight.add(sent);
    }
    await Promise.all(inFlight);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    return this.#done.finally(() => this.#client.unbind());
  }
}

/** Odd, so that what is taken away is what was added. */
const BACK = 501;

/** Every second change takes away what was added `BACK` changes before. */
function isAddition(n: number): boolean {
  return n < BACK || n % 2 === 0;
}

function loadAddress(n: number): string {
  return `load.${n}@example.net`;
}

async function connect(slapd: Slapd): Promise<LdapClient> {
  const client = await connectLdap({ target: slapd.url, clock: systemClock });
  await client.bind(slapd.adminDn, new Secret(slapd.adminPassword));
  return client;
}

async function changeAddress(
  client: LdapClient,
  slapd: Slapd,
  person: number,
  kind: 'add' | 'delete',
  address: string,
): Promise<void> {
  const attribute = { type: 'mail', values: [Buffer.from(address)] };
  await client.modify(`uid=user${person},ou=people,${slapd.suffix}`, [{ kind, attribute }]).result;
}
