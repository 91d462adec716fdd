/** An edge and a hub as real processes, subscribed, with a source that the hub has not been told about yet. */
import { writeFile } from 'node:fs/promises';
import { stringify } from 'smol-toml';
import type { EdgeStatus, HubStatus } from '../../src/admin/documents.ts';
import { systemClock } from '../../src/base/clock.ts';
import { Deployment } from '../../test/support/deployment.ts';
import { SocketmapClient } from '../../test/support/socketmap-client.ts';

export type SourceTable = Readonly<Record<string, unknown>>;

/** Milliseconds until the load was complete. */
export interface LoadTime {
  /** Since the hub began to read its source. */
  readonly fromFeed: number;
  /** Since the hub's process was started. */
  readonly fromProcess: number;
}

export interface SiteOptions {
  /** Folder for CPU profiles of both daemons. */
  readonly profile: string | undefined;
}

export class BenchSite implements AsyncDisposable {
  readonly deployment: Deployment;

  private constructor(deployment: Deployment) {
    this.deployment = deployment;
  }

  /** Subscribed and with accepted domains, the hub stopped. */
  static async create(options: SiteOptions): Promise<BenchSite> {
    const deployment = await Deployment.create({
      // Benchmarks take addresses away on purpose, and many.
      edge: { removal_guard: { most: 1_000_000, percent: 100 } },
      ...(options.profile === undefined
        ? {}
        : {
            environment: {
              NODE_OPTIONS: `--cpu-prof --cpu-prof-interval=200 --cpu-prof-dir=${options.profile}`,
            },
          }),
    });
    const site = new BenchSite(deployment);
    try {
      await deployment.startEdge();
      await deployment.startHub();
      await deployment.subscribe();
      await deployment.hubOk('domain', 'add', 'example.org');
      await deployment.hubOk('domain', 'add', 'example.net');
      await waitFor('subscription', async () => {
        const { kinds } = await site.edgeStatus();
        return kinds.some(
          ({ kind, entries, loadState }) => kind === 'domains' && entries === 2 && loadState === 'complete',
        );
      });
      await deployment.hubDaemon?.stop();
    } catch (error) {
      const logs = `${deployment.log('edge')}\n${deployment.log('hub')}`;
      await deployment[Symbol.asyncDispose]();
      throw new Error(logs, { cause: error });
    }
    return site;
  }

  /** Starts the hub with this source and waits until the edge answers as one whose first load is complete. */
  async load(source: SourceTable, count: number): Promise<LoadTime> {
    await writeFile(
      this.deployment.hubFile,
      stringify({ name: 'hub1', fqdn: 'hub1.localhost', data: this.deployment.hubData, source }),
    );
    await using asker = await this.socketmap();
    const start = systemClock.now();
    const started = this.deployment.startHub();
    started.catch(() => undefined);
    // An edge that is still loading says "temporarily unable" of an address that it does not know.
    const unknown = `user.number${count}@example.org`;
    await waitFor('load', async () => (await asker.ask('recipients', unknown)).startsWith('NOTFOUND'));
    const end = systemClock.now();
    await started;
    const { kinds } = await this.edgeStatus();
    const recipients = kinds.find(({ kind }) => kind === 'recipients');
    if (recipients?.loadState !== 'complete' || recipients.entries !== count)
      throw new Error(`the edge has ${recipients?.entries} recipients, ${recipients?.loadState}`);
    await this.prove(count);
    const reading = /^(\S+) info source: reading/m.exec(this.deployment.log('hub'))?.[1] ?? '';
    return { fromFeed: end - Date.parse(reading), fromProcess: end - start };
  }

  /** The edge's answers are right for the first and last people, an alias, and somebody unknown. */
  async prove(count: number): Promise<void> {
    await using client = await this.socketmap();
    const alias = count - 1 - ((count - 1) % 3);
    const expected: readonly (readonly [string, string])[] = [
      ['user.number0@example.org', 'OK'],
      [`user.number${count - 1}@example.org`, 'OK'],
      [`alias.b${alias}@example.net`, 'OK'],
      [`user.number${count}@example.org`, 'NOTFOUND'],
    ];
    for (const [address, answer] of expected) {
      const found = await client.ask('recipients', address);
      if (!found.startsWith(answer)) throw new Error(`${address}: "${found}" instead of ${answer}`);
    }
  }

  socketmap(): Promise<SocketmapClient> {
    return SocketmapClient.connect({ host: '127.0.0.1', port: this.deployment.socketmapPort });
  }

  edgeStatus(): Promise<EdgeStatus> {
    return this.#edge.control.call<EdgeStatus>('GET', '/v1/status');
  }

  hubStatus(): Promise<HubStatus> {
    return this.#hub.control.call<HubStatus>('GET', '/v1/status');
  }

  get edgePid(): number {
    return this.#edge.pid;
  }

  get hubPid(): number {
    return this.#hub.pid;
  }

  get #edge() {
    if (this.deployment.edgeDaemon === undefined) throw new Error('the edge does not run');
    return this.deployment.edgeDaemon;
  }

  get #hub() {
    if (this.deployment.hubDaemon === undefined) throw new Error('the hub does not run');
    return this.deployment.hubDaemon;
  }

  /** Ends both daemons in good order (so that profiles are written), then removes the folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.deployment.hubDaemon?.stop(), this.deployment.edgeDaemon?.stop()]);
    await this.deployment[Symbol.asyncDispose]();
  }
}

const POLL_MS = 50;
const GIVE_UP_MS = 900_000;

/** Asks again every 50 ms, as the peer is asked. */
export async function waitFor(what: string, done: () => Promise<boolean>): Promise<void> {
  const giveUpAt = systemClock.monotonic() + GIVE_UP_MS;
  while (!(await done())) {
    if (systemClock.monotonic() > giveUpAt) throw new Error(`waited too long for: ${what}`);
    await systemClock.sleep('bench', POLL_MS);
  }
}
