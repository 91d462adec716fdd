/** The links to the edges: one for each subscribed edge, as long as it is subscribed. */
import type { Clock } from '../../base/clock.ts';
import { PosternError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { nameKey } from '../../credential/account-name.ts';
import type { Organisation } from '../../sync/organisation/organisation.ts';
import { EdgeLink } from '../../sync/push/edge-link.ts';
import type { MirrorView } from '../../sync/push/mirror-view.ts';
import type { Renewals } from '../../sync/renewal/renewals.ts';

export interface LinksOptions {
  readonly organisation: Organisation;
  readonly renewals: Renewals;
  readonly hubName: string;
  /** Undefined: no source is configured. */
  readonly mirror: MirrorView | undefined;
  readonly standsBy: () => boolean;
  readonly lastConfirmed: () => number | undefined;
  readonly lockMs: number;
  readonly renewBelowMs: number;
  readonly confirmEveryMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export class Links {
  readonly #options: LinksOptions;
  readonly #links = new Map<string, EdgeLink>();
  #stopped = false;

  constructor(options: LinksOptions) {
    this.#options = options;
  }

  /** In the order of their names. */
  get all(): EdgeLink[] {
    return [...this.#links.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  find(edgeName: string): EdgeLink | undefined {
    return this.#links.get(nameKey(edgeName));
  }

  /** All links, or the one that is named. Throws `subscription.unknown`. */
  chosen(edgeName: string | undefined): EdgeLink[] {
    if (edgeName === undefined) return this.all;
    const link = this.find(edgeName);
    if (link !== undefined) return [link];
    throw new PosternError('subscription.unknown', `no edge ${edgeName} is subscribed`, {
      hint: 'postern subscription list names those that are',
    });
  }

  start(edgeName: string): void {
    if (this.#stopped || this.find(edgeName) !== undefined) return;
    const { organisation, renewals, clock, random, log, ...rest } = this.#options;
    const link = new EdgeLink({
      ...rest,
      name: edgeName,
      target: () => organisation.target(edgeName, clock.now()),
      open: (signal) => renewals.of(edgeName).open(signal),
      onEstablished: () => organisation.established(edgeName, clock.now()),
      clock,
      random,
      log: log.child('link'),
    });
    this.#links.set(nameKey(edgeName), link);
    link.start();
  }

  async stop(edgeName: string): Promise<void> {
    const link = this.find(edgeName);
    this.#links.delete(nameKey(edgeName));
    await link?.stop();
  }

  /** The subscription of this edge has ended elsewhere. */
  async forget(edgeName: string): Promise<void> {
    await this.stop(edgeName);
    await this.#options.renewals.forget(edgeName);
  }

  /** Topology or domains have changed. */
  poke(): void {
    for (const link of this.#links.values()) link.pokeConfiguration();
  }

  /** Every link connects anew: another key is to be shown. */
  restart(): void {
    for (const link of this.#links.values()) link.restart();
  }

  /** The source has confirmed the mirror. */
  confirm(): void {
    for (const link of this.#links.values()) link.confirm();
  }

  async stopAll(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.all.map((link) => link.stop()));
    this.#links.clear();
  }
}
