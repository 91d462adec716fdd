/**
 * The records of this hub's credentials in the configuration directory: its own, among the values of its own object, and the edges', among those of
 * theirs. Every write may be done twice. Whatever else stands there (somebody wrote it) is passed over. Knows no rules.
 */
import type { Clock } from '../../base/clock.ts';
import { isPosternError, PosternError } from '../../base/error.ts';
import type { Random } from '../../base/random.ts';
import { shownPin } from '../../certificate/peer-pins.ts';
import { formatAccountName, nameKey, sameName } from '../../credential/account-name.ts';
import {
  type HubNode,
  hubPins,
  keepCredential,
  type OwnCredential,
  resealForEdge,
} from '../../credential/issue.ts';
import {
  type CredentialRecord,
  decodeCredentialRecord,
  verifyCredentialRecord,
} from '../../credential/record.ts';
import type { Window } from '../../credential/schedule.ts';
import { resultCodeOf } from '../../ldap/client-error.ts';
import { RESULT_CODE } from '../../ldap/result-code.ts';
import { edgeDn, hubDn, readTopologyObject } from '../../subscription/topology-objects.ts';
import type { SubscribedEdge } from '../../subscription/trust-state.ts';
import type { ConfigurationDirectory } from '../organisation/configuration-directory.ts';

export interface CredentialRecordsOptions {
  readonly directory: ConfigurationDirectory;
  readonly hub: HubNode;
  readonly site: string;
  readonly base: string;
  readonly clock: Clock;
  readonly random: Random;
}

/** A record of this hub, with the very bytes that stand in the directory. */
interface Found {
  readonly bytes: Buffer;
  readonly record: CredentialRecord;
  readonly number: number;
}

/**
 * This hub's own object holds the records of all its pairs: one look at it serves those that come within this time, and what this process writes is
 * known without a look.
 */
const LOOK_EVERY_MS = 5000;

export class CredentialRecords {
  readonly #options: CredentialRecordsOptions;
  #looked = Number.NEGATIVE_INFINITY;
  #look: Promise<void> | undefined;
  #writtenElsewhere = 0;
  /** What was written here while a look was under way, which may not have seen it. */
  #written: { readonly found: Found; readonly there: boolean }[] = [];
  /** By edge. */
  #own = new Map<string, Found[]>();
  /** Whose signature was looked at: it costs more than all the rest. */
  readonly #verified = new WeakSet<CredentialRecord>();

  constructor(options: CredentialRecordsOptions) {
    this.#options = options;
  }

  /** Somebody else in this process has written to this hub's object: what comes now sees it. */
  lookAgain(): void {
    this.#looked = Number.NEGATIVE_INFINITY;
    this.#writtenElsewhere++;
  }

  /** Numbers of the credentials of a pair that are there: with their passwords, and for the edge. */
  async observe(edge: string): Promise<{ readonly own: number[]; readonly published: number[] }> {
    const own = await this.#ownOf(edge);
    const published = await this.#publishedOf(edge);
    return { own: numbers(own), published: numbers(published) };
  }

  /** The credential to show; undefined when its record is not there. */
  async find(edge: string, number: number): Promise<OwnCredential | undefined> {
    const found = (await this.#ownOf(edge)).find((one) => one.number === number);
    return found && asOwn(found);
  }

  /** All of them, in the order of their numbers. */
  async all(edge: string): Promise<OwnCredential[]> {
    return (await this.#ownOf(edge)).map(asOwn).sort((a, b) => a.number - b.number);
  }

  /** Makes a password and this hub's own record, unless there is one of this number. Returns its window. */
  async keep(edge: SubscribedEdge, number: number, window: Window): Promise<Window> {
    const there = await this.find(edge.name, number);
    if (there !== undefined) return { effectiveAt: there.effectiveAt, expiresAt: there.expiresAt };
    const { hub, random } = this.#options;
    const policy = edge.passwordPolicy;
    const bytes = await keepCredential({ hub, edge: recipient(edge), number, window, policy, random });
    await this.#add(this.#hubDn(), bytes);
    const found = this.#read(bytes);
    if (found !== undefined) this.#remember(found, true);
    return window;
  }

  /** Writes the record for the edge, unless there is one of this number. Returns it. */
  async publish(edge: SubscribedEdge, number: number): Promise<Buffer> {
    const there = (await this.#publishedOf(edge.name)).find((one) => one.number === number);
    if (there !== undefined) return there.bytes;
    const bytes = await this.#sealed(edge, number);
    await this.#add(this.#edgeDn(edge.name), bytes);
    return bytes;
  }

  /**
   * The record for the edge. The one that stands in the directory, if it does: the edge knows by it that a push, or a request whose answer was lost,
   * has brought it already.
   */
  async forEdge(edge: SubscribedEdge, number: number): Promise<Buffer> {
    try {
      return await this.publish(edge, number);
    } catch (error) {
      if (!isPosternError(error)) throw error;
      return this.#sealed(edge, number);
    }
  }

  /** Takes both records away. */
  async withdraw(edge: string, number: number): Promise<void> {
    const own = (await this.#ownOf(edge)).filter((one) => one.number === number);
    await this.#remove(this.#hubDn(), own);
    for (const found of own) this.#remember(found, false);
    const published = (await this.#publishedOf(edge)).filter((one) => one.number === number);
    await this.#remove(this.#edgeDn(edge), published);
  }

  async #sealed(edge: SubscribedEdge, number: number): Promise<Buffer> {
    const { hub } = this.#options;
    const own = await this.find(edge.name, number);
    if (own !== undefined) return resealForEdge(own, recipient(edge), hub);
    const userName = formatAccountName({ kind: 'esra', edge: edge.name, hub: hub.name, number });
    throw new PosternError('not-found', `the record of ${userName} is not in the configuration directory`);
  }

  async #ownOf(edge: string): Promise<Found[]> {
    const { clock } = this.#options;
    if (clock.monotonic() - this.#looked > LOOK_EVERY_MS) await (this.#look ??= this.#lookAtOwn());
    return this.#proved(this.#own.get(nameKey(edge)) ?? []);
  }

  async #lookAtOwn(): Promise<void> {
    const { directory, clock } = this.#options;
    try {
      this.#written = [];
      let seen: number;
      let looked: number;
      let values: readonly Buffer[] | undefined;
      do {
        seen = this.#writtenElsewhere;
        looked = clock.monotonic();
        values = credentialsOf(await directory.read(this.#hubDn()));
      } while (seen !== this.#writtenElsewhere);
      if (values === undefined)
        throw new PosternError('not-found', "this hub's own object is not in the configuration directory");
      const known = new Map([...this.#own.values()].flat().map((one) => [one.bytes.toString('latin1'), one]));
      const found = values.flatMap((bytes) => known.get(bytes.toString('latin1')) ?? this.#read(bytes) ?? []);
      this.#own = Map.groupBy(found, ({ record }) => nameKey(record.account.edge));
      for (const { found: one, there } of this.#written.splice(0)) this.#remember(one, there);
      this.#looked = looked;
    } finally {
      this.#look = undefined;
    }
  }

  async #publishedOf(edge: string): Promise<Found[]> {
    const values = credentialsOf(await this.#options.directory.read(this.#edgeDn(edge)));
    const found = (values ?? []).flatMap((bytes) => this.#read(bytes) ?? []);
    return this.#proved(found.filter(({ record }) => sameName(record.account.edge, edge)));
  }

  /** A record that says it is of a credential of this hub. */
  #read(bytes: Buffer): Found | undefined {
    const record = unlessUnusable(() => decodeCredentialRecord(bytes));
    if (record?.account.kind !== 'esra' || !sameName(record.account.hub, this.#options.hub.name))
      return undefined;
    return { bytes, record, number: record.account.number };
  }

  #proved(found: readonly Found[]): Found[] {
    return found.filter(({ record }) => {
      // What was this hub's stays so, whatever key it shows since.
      if (this.#verified.has(record)) return true;
      return unlessUnusable(() => {
        verifyCredentialRecord(record, hubPins(this.#options.hub));
        this.#verified.add(record);
        return true;
      });
    });
  }

  #remember(found: Found, there: boolean): void {
    const key = nameKey(found.record.account.edge);
    const others = (this.#own.get(key) ?? []).filter(({ bytes }) => !bytes.equals(found.bytes));
    this.#own.set(key, there ? [...others, found] : others);
    if (this.#look !== undefined) this.#written.push({ found, there });
  }

  async #add(dn: string, bytes: Buffer): Promise<void> {
    const attribute = { type: 'posternCredential', values: [bytes] };
    await this.#options.directory.apply([{ op: 'modifyRequest', dn, changes: [{ kind: 'add', attribute }] }]);
  }

  async #remove(dn: string, found: readonly Found[]): Promise<void> {
    for (const { bytes } of found) {
      const attribute = { type: 'posternCredential', values: [bytes] };
      try {
        await this.#options.directory.apply([
          { op: 'modifyRequest', dn, changes: [{ kind: 'delete', attribute }] },
        ]);
      } catch (error) {
        const code = resultCodeOf(error);
        if (code !== RESULT_CODE.noSuchAttribute && code !== RESULT_CODE.noSuchObject) throw error;
      }
    }
  }

  #hubDn(): string {
    const { hub, site, base } = this.#options;
    return hubDn(hub.name, site, base);
  }

  #edgeDn(edge: string): string {
    const { site, base } = this.#options;
    return edgeDn(edge, site, base);
  }
}

function credentialsOf(
  entry: Awaited<ReturnType<ConfigurationDirectory['read']>>,
): readonly Buffer[] | undefined {
  return entry === undefined ? undefined : readTopologyObject(entry.attributes)?.credentials;
}

function numbers(found: readonly Found[]): number[] {
  return [...new Set(found.map(({ number }) => number))];
}

function asOwn({ record, number }: Found): OwnCredential {
  const { userName, effectiveAt, expiresAt } = record;
  return { userName, kind: 'esra', number, effectiveAt, expiresAt, record };
}

function recipient(edge: SubscribedEdge) {
  const { name, fqdn, pins, sealingKey } = edge;
  return { name, fqdn, pin: shownPin(pins), sealingKey };
}

function unlessUnusable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isPosternError(error)) return undefined;
    throw error;
  }
}
