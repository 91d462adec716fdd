/**
 * One pass after another over charon: look, compare, mend, judge. Owns what must be known between passes: what was loaded, what charon showed of it,
 * who may be called again when. When a pass is made is `reconciler.ts`'s.
 */
import type { Clock } from '../../base/clock.ts';
import type { Files } from '../../base/files.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import type { IkeAssociation } from '../../vici/association.ts';
import { type DaemonVersion, getStats, getVersion } from '../../vici/command.ts';
import type { ViciCaller } from '../../vici/connection.ts';
import { type DesiredState, OUR_PREFIX } from '../desired.ts';
import { type ActualState, look } from './actual.ts';
import { CallOut } from './call-out.ts';
import { missingPlugins, oldVersion } from './capability.ts';
import { ClearTextGrowth } from './clear-text.ts';
import { diff, echoOf, type Step } from './diff.ts';
import type { KernelState, XfrmKernel } from './kernel.ts';
import { lostAssociations } from './lost.ts';
import { EMPTY_MEMORY, type Memory, readMemory, writeMemory } from './memory.ts';
import { describeStep, type Failure, isRemembered, memoryAfter, memoryBefore, perform } from './perform.ts';
import type { ServiceNames } from './selector-text.ts';
import { judge, type Violation } from './violation.ts';

export interface PassOptions {
  readonly memoryPath: string;
  readonly kernel: XfrmKernel;
  readonly serviceNames: ServiceNames;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Before anything is loaded into a charon that was not spoken to yet: the guard is put where it should be. A rejection keeps everything as it is. */
  readonly beforeLoading: () => Promise<void>;
  /** Packets in clear text on protected ports, ever; undefined when nobody counts. */
  readonly clearText: () => Promise<number | undefined>;
}

export interface PassResult {
  readonly actual: ActualState;
  readonly violations: readonly Violation[];
  /** Steps that charon refused. */
  readonly failures: readonly Failure[];
  /** Something was changed, or tried. */
  readonly acted: boolean;
}

/** What was loaded or brought up is looked at again at once, so often. */
const MOST_ROUNDS = 3;
/** Of the light looks, one in so many is thorough all the same. */
const THOROUGH_EVERY = 6;

export class Passes {
  readonly callOut: CallOut;
  readonly #options: PassOptions;
  readonly #echoes = new Map<string, string>();
  readonly #clearText = new ClearTextGrowth();
  #memory: Memory = EMPTY_MEMORY;
  #fresh = true;
  #looks = 0;
  #charon: DaemonVersion | undefined;
  /** Associations at the last look. */
  #seen: readonly IkeAssociation[] = [];
  #last: PassResult | undefined;

  constructor(options: PassOptions) {
    this.#options = options;
    this.callOut = new CallOut(options.random);
  }

  async open(): Promise<void> {
    const { files, memoryPath, log } = this.#options;
    this.#memory = await readMemory(files, memoryPath, log);
  }

  /** Another charon, or the same one that we lost sight of: nothing about it is known. */
  anew(): void {
    this.#fresh = true;
    this.#charon = undefined;
    this.#last = undefined;
    this.#seen = [];
    this.#echoes.clear();
  }

  get charon(): DaemonVersion | undefined {
    return this.#charon;
  }

  /** Of this charon; undefined before its first one. */
  get last(): PassResult | undefined {
    return this.#last;
  }

  /** Rejects when charon has gone or cannot be used, or the guard does not stand. */
  async pass(charon: ViciCaller, desired: DesiredState, thorough: boolean): Promise<PassResult> {
    if (this.#fresh) await this.#greet(charon);
    const { log, serviceNames, clock } = this.#options;
    let [failures, acted, again]: [readonly Failure[], boolean, boolean] = [[], false, thorough];
    let actual: ActualState;
    for (let round = 1; ; round++) {
      this.#looks += 1;
      const connections = again || this.#fresh || this.#looks % THOROUGH_EVERY === 0;
      const kernel = connections || this.#seen.length > 0 ? await this.#dump() : undefined;
      actual = await look({ charon, connections, kernel: this.#fresh ? kernel : undefined });
      this.#learn(actual);
      const now = clock.monotonic();
      const steps = diff(desired, actual, this.#memory, {
        fresh: this.#fresh,
        mayInitiate: (connection) => this.callOut.may(connection, now),
        echo: (name) => this.#echoes.get(name),
        serviceNames,
        lost: lostAssociations(this.#seen, kernel, actual.associations),
      });
      this.#seen = actual.associations;
      const known = failures;
      failures = await this.#do(charon, steps, desired);
      this.#fresh = false;
      for (const { step, error } of failures)
        if (!isKnown(step, [...known, ...(this.#last?.failures ?? [])]))
          log.warn(`could not ${describeStep(step)}`, { error });
      acted ||= steps.length > 0;
      if (steps.length === failures.length || round === MOST_ROUNDS) break;
      // What was loaded is compared with what charon shows of it from now on.
      again = true;
    }
    this.#last = { actual, violations: await this.#judge(desired, actual), failures, acted };
    return this.#last;
  }

  /** What a pass would do, without doing it. */
  async plan(charon: ViciCaller, desired: DesiredState): Promise<Step[]> {
    const { serviceNames } = this.#options;
    const actual = await look({ charon, connections: true, kernel: await this.#dump() });
    return diff(desired, actual, this.#memory, {
      fresh: false,
      mayInitiate: () => true,
      echo: (name) => this.#echoes.get(name),
      serviceNames,
      lost: new Set(),
    });
  }

  /** What this charon is, and the guard, before anything is loaded into it. */
  async #greet(charon: ViciCaller): Promise<void> {
    this.#charon = await getVersion(charon);
    const unfit = oldVersion(this.#charon) ?? missingPlugins((await getStats(charon)).plugins);
    if (unfit !== undefined) throw unfit;
    await this.#options.beforeLoading();
  }

  /** Undefined when the kernel cannot be asked: leftovers stay then, which is no reason to leave traffic without traps. */
  async #dump(): Promise<KernelState | undefined> {
    const { kernel, log } = this.#options;
    return kernel.dump().catch((error: unknown) => {
      log.error('leftovers of an earlier charon cannot be looked for', { error });
      return undefined;
    });
  }

  async #do(charon: ViciCaller, steps: readonly Step[], desired: DesiredState): Promise<Failure[]> {
    if (steps.length === 0) return [];
    const { log, kernel, files, memoryPath, clock } = this.#options;
    const before = memoryBefore(this.#memory, steps, desired);
    const remembered = steps.some(isRemembered);
    if (remembered) await writeMemory(files, memoryPath, before);
    this.#memory = before;
    for (const step of steps) {
      const isRepeated = step.do === 'initiate' || isKnown(step, this.#last?.failures ?? []);
      log[isRepeated ? 'debug' : 'info'](describeStep(step));
      if (step.do === 'initiate') this.callOut.called(step.connection, clock.monotonic());
      if (step.do !== 'load') continue;
      this.#echoes.delete(step.name);
      if (step.why === 'changed') this.callOut.forget(step.name);
    }
    const failures = await perform(steps, { charon, kernel, desired });
    this.#memory = memoryAfter(before, steps, failures, desired);
    if (remembered) await writeMemory(files, memoryPath, this.#memory);
    return failures;
  }

  /** What charon shows of a connection that was just loaded is how it must look from now on. */
  #learn(actual: ActualState): void {
    for (const [name, shown] of actual.connections ?? [])
      if (name.startsWith(OUR_PREFIX) && !this.#echoes.has(name)) this.#echoes.set(name, echoOf(shown));
    for (const { connection, children } of actual.associations)
      if (children.some(({ state }) => state === 'INSTALLED')) this.callOut.forget(connection);
  }

  async #judge(desired: DesiredState, actual: ActualState): Promise<Violation[]> {
    const { clearText, clock, log, serviceNames } = this.#options;
    const packets = await clearText().catch(() => undefined);
    const found = judge(desired, actual, serviceNames, this.#clearText.count(packets, clock.monotonic()));
    const known = this.#last?.violations ?? [];
    for (const { text, mend, ...what } of found)
      if (!known.some((one) => isSame(one, what))) log.warn(text, { ...what, hint: mend });
    // Without a thorough look nobody knows better than before.
    const kept = actual.connections === undefined ? known.filter(needsThoroughLook) : [];
    return [...found, ...kept];
  }
}

const needsThoroughLook = ({ code }: Violation): boolean =>
  code === 'ipsec.unpinned' || code === 'ipsec.conflict';

const isSame = (a: Pick<Violation, 'code' | 'connection' | 'child'>, b: typeof a): boolean =>
  a.code === b.code && a.connection === b.connection && a.child === b.child;

const isKnown = (step: Step, failures: readonly Failure[]): boolean =>
  failures.some((known) => describeStep(known.step) === describeStep(step));
