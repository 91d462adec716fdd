/** Runs one scenario on fresh hosts, and says what of it did not hold. Whatever happens, no host of it is left. */
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import type { ScenarioResult } from '../result.ts';
import { type HostLine, parseScenario, parseSteps, type Scenario, type ScenarioLine } from '../scenario.ts';
import { Host, type Ran } from './host.ts';
import { addressVariables, hostsFile, isHostName, joinHosts, leaveBridge } from './network.ts';
import { Watch } from './watch.ts';

const SCENARIOS = '/mnt/top/lab/scenarios';
const COMMANDS = '/mnt/command';
/** What is carried by hand from one host to another. */
const CARRY = `${COMMANDS}/carry`;
const PREPARED = '/mnt/program/prepared';
const TRIES_EVERY_MS = 200;

export interface GuestContext {
  readonly observer: Host;
  readonly machine: string;
  /** Where goes what is looked at after a scenario has failed, or always. */
  readonly keep: { readonly folder: string; readonly always: boolean };
}

/** `name` is a folder below lab/scenarios. */
export async function runScenario(context: GuestContext, name: string): Promise<ScenarioResult> {
  const started = performance.now();
  const run = new Run(context, name);
  try {
    await run.all();
  } catch (error) {
    run.failures.push(String(error instanceof Error ? error.message : error));
  }
  try {
    await run.end();
  } catch (error) {
    run.failures.push(String(error instanceof Error ? error.message : error));
  }
  const { failures, figures, clearPackets, espPackets } = run;
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  return { name, failures, seconds, figures, clearPackets, espPackets };
}

class Run {
  readonly failures: string[] = [];
  readonly figures: Record<string, number> = {};
  clearPackets = 0;
  espPackets = 0;
  readonly #context: GuestContext;
  readonly #name: string;
  readonly #folder: string;
  readonly #kept: string;
  readonly #hosts = new Map<string, { host: Host; line: HostLine }>();
  #environment: Record<string, string> = {};
  readonly #started = performance.now();
  #watch: Watch | undefined;
  #before = '';

  constructor(context: GuestContext, name: string) {
    this.#context = context;
    this.#name = name;
    this.#folder = join(SCENARIOS, name);
    this.#kept = join(context.keep.folder, name.replaceAll('/', '-'));
    mkdirSync(this.#kept, { recursive: true });
  }

  async all(): Promise<void> {
    const read = (file: string): string => readFileSync(join(SCENARIOS, file), 'utf8');
    const file = `${this.#name}/scenario.dat`;
    const scenario = parseScenario(`lab/scenarios/${file}`, read(file), read);
    this.#before = await this.#guestState();
    if (scenario.prepared !== undefined) await this.#prepare(scenario.prepared, read);
    const marker = randomBytes(12).toString('hex');
    const variables = { ...addressVariables(), MARKER: marker, MACHINE: this.#context.machine, CARRY };
    this.#say('begins');
    await this.#startHosts(scenario, variables);
    const capture = `${COMMANDS}/${this.#name.replaceAll('/', '-')}.pcap`;
    this.#say('hosts are up');
    this.#watch = await Watch.start(this.#context.observer, capture, scenario.protects, marker);
    this.#say('capture runs');
    for (const line of scenario.lines) {
      // After a step that failed nothing further says anything.
      if (!(await this.#line(line))) break;
    }
    const report = await this.#watch.report();
    this.espPackets = report.espPackets;
    this.clearPackets = report.clearPackets;
    if (scenario.protects.length > 0 && report.clearPackets > 0)
      this.failures.push(
        `${report.clearPackets} packets of protected ports in clear: ${report.examples.join(', ')}`,
      );
  }

  /** Ends the hosts, keeps what helps to understand a failure, and makes sure that nothing is left for the next scenario. */
  async end(): Promise<void> {
    try {
      await this.#watch?.stop();
      if (this.failures.length > 0 || this.#context.keep.always) await this.#keep();
    } finally {
      await this.#stopHosts();
    }
    // A firewall on the bridge is the observer's.
    await this.#context.observer.run('nft flush ruleset');
    for (const file of readdirSync(COMMANDS)) {
      if (!file.startsWith('observer')) rmSync(join(COMMANDS, file), { recursive: true });
    }
    for (let tries = 0; (await this.#guestState()) !== this.#before; tries++) {
      if (tries === 200)
        throw new Error(`left behind:\n${await this.#guestState()}\nbefore:\n${this.#before}`);
      await after(100);
    }
  }

  /** Everything of the guest itself that a scenario could leave behind. */
  async #guestState(): Promise<string> {
    const { output } = await this.#context.observer.run('ip xfrm state; ip xfrm policy');
    // Threads of the kernel have no command line.
    const processes = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((name) => {
        const file = `/proc/${name}/cmdline`;
        const words = existsSync(file) ? readFileSync(file, 'latin1').replaceAll('\0', ' ') : '';
        return words === '' ? [] : [words];
      });
    const links = readdirSync('/sys/class/net');
    return ['links', ...links.sort(), 'processes', ...processes.sort(), 'xfrm', output].join('\n');
  }

  async #startHosts(scenario: Scenario, variables: Record<string, string>): Promise<void> {
    mkdirSync(CARRY, { recursive: true });
    for (const { name } of scenario.hosts) this.#files(scenario, name, variables);
    this.#environment = {
      ...variables,
      PATH: '/mnt/top/lab/bin:/mnt/program/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: '/tmp',
      LC_ALL: 'C.UTF-8',
    };
    await this.#startAll(scenario.hosts);
  }

  /** Hosts of their own run the file's steps; what is on their disks then is kept, and copied for this scenario. */
  async #prepare(name: string, read: (file: string) => string): Promise<void> {
    const kept = join(PREPARED, name);
    if (!existsSync(kept)) {
      const steps = parseSteps(name, read(name), read);
      const variables = { ...addressVariables(), MACHINE: this.#context.machine, CARRY };
      await this.#startHosts(steps, variables);
      for (const line of steps.lines) {
        if (!(await this.#line(line))) throw new Error(`${name}: the preparation failed`);
      }
      await this.#stopHosts();
      await this.#must(
        `mkdir -p ${kept} && cp -a ${COMMANDS}/*.disk ${COMMANDS}/carry ${kept}/ && rm -r ${COMMANDS}/*.disk ${COMMANDS}/carry`,
      );
    }
    await this.#must(`cp -a ${kept}/. ${COMMANDS}/`);
  }

  async #must(command: string): Promise<void> {
    const { output, status } = await this.#context.observer.run(command);
    if (status !== 0) throw new Error(`${command}: ${output}`);
  }

  async #stopHosts(): Promise<void> {
    await Promise.all([...this.#hosts.values()].map(({ host }) => host.stop()));
    await leaveBridge(this.#context.observer, [...this.#hosts.keys()]);
    this.#hosts.clear();
  }

  async #startAll(lines: readonly HostLine[], environment: Record<string, string> = {}): Promise<void> {
    const started = await Promise.all(
      lines.map(async (line) => {
        const { name, hasVirtual } = line;
        if (!isHostName(name)) throw new Error(`there is no host ${name} in lab/guest/network.ts`);
        const all = { ...this.#environment, ...environment };
        const host = await Host.start({ name, ownNamespaces: true, environment: all });
        this.#hosts.set(name, { host, line });
        return { host, name, hasVirtual };
      }),
    );
    await joinHosts(this.#context.observer, started);
  }

  /** As when the power fails: of the host `/etc` and `/var` are left. */
  async #reboot(name: string, how: string): Promise<Ran> {
    const known = this.#hosts.get(name);
    if (known === undefined) return { output: `no host ${name}`, status: -1 };
    await known.host.stop();
    await leaveBridge(this.#context.observer, [name]);
    await this.#startAll([known.line], { LAB_BOOT: how });
    return { output: '', status: 0 };
  }

  /** Puts together the files that a host starts with; `${NAME}` in them is a variable. */
  #files(scenario: Scenario, host: string, variables: Readonly<Record<string, string>>): void {
    const target = join(COMMANDS, `${host}.files`);
    mkdirSync(join(target, 'etc'), { recursive: true });
    writeFileSync(join(target, 'etc/hosts'), hostsFile());
    for (const layer of [...scenario.files.map((name) => join(SCENARIOS, name)), this.#folder]) {
      for (const source of [join(layer, 'every-host'), join(layer, host)]) {
        if (!existsSync(source)) continue;
        cpSync(source, target, { recursive: true });
        for (const name of readdirSync(source, { recursive: true, withFileTypes: true })) {
          if (!name.isFile()) continue;
          const path = join(target, join(name.parentPath, name.name).slice(source.length));
          const text = readFileSync(path, 'utf8');
          const filled = text.replace(/\$\{([A-Z0-9]+)\}/g, (whole, key: string) =>
            key === 'HOST' ? host : (variables[key] ?? whole),
          );
          if (filled !== text) writeFileSync(path, filled);
        }
      }
    }
  }

  /** False: the scenario can't go on. */
  async #line({ at, host, command, expect }: ScenarioLine): Promise<boolean> {
    const deadline = performance.now() + (expect?.withinMs ?? 0);
    for (;;) {
      const ran = await this.#command(host, command);
      const match = expect?.pattern.exec(ran.output) ?? null;
      const holds = expect === undefined ? ran.status === 0 : (match !== null) === expect.wanted;
      const last = holds || performance.now() >= deadline;
      if (last) this.#log(at, host, command, ran, holds);
      if (holds) {
        if (expect?.figure !== undefined) this.figures[expect.figure] = Number(match?.[1]);
        return true;
      }
      if (last) {
        const what =
          expect === undefined
            ? `status ${ran.status}`
            : `${expect.pattern} ${expect.wanted ? 'not found' : 'found'} in`;
        this.failures.push(`${at}: ${host} :: ${command}: ${what}\n${ran.output.trimEnd().slice(-2000)}`);
        return expect !== undefined;
      }
      await after(TRIES_EVERY_MS);
    }
  }

  async #command(name: string, command: string): Promise<Ran> {
    if (name === 'observer' && command === 'capture mark') {
      await this.#watch?.mark();
      return { output: '', status: 0 };
    }
    if (name === 'observer' && command === 'capture report')
      return { output: await this.#captureReport(), status: 0 };
    const reboot = /^reboot(?: (network-first))?$/.exec(command);
    if (reboot !== null) return await this.#reboot(name, reboot[1] ?? '');
    const host = name === 'observer' ? this.#context.observer : this.#hosts.get(name)?.host;
    return host === undefined ? { output: `no host ${name}`, status: -1 } : await host.run(command);
  }

  async #captureReport(): Promise<string> {
    const report = await this.#watch?.report();
    return [
      `packets: ${report?.packets}`,
      `clear packets: ${report?.clearPackets}`,
      ...(report?.examples ?? []).map((example) => `  ${example}`),
      `esp packets: ${report?.espPackets}`,
      `first esp packet: ${report?.firstEspMs === undefined ? 'none' : `${Math.round(report.firstEspMs)} ms`}`,
      `marker: ${report?.hasMarker === true ? 'found' : 'absent'}`,
    ].join('\n');
  }

  #log(at: string, host: string, command: string, { output, status }: Ran, holds: boolean): void {
    this.#say(
      `${holds ? 'ok' : 'NOT OK'} ${at}\n${host} :: ${command}\n${output.trimEnd()}\n[status ${status}]\n`,
    );
  }

  #say(text: string): void {
    const time = ((performance.now() - this.#started) / 1000).toFixed(2);
    appendFileSync(join(this.#kept, 'log'), `${time} s ${text}\n`);
  }

  async #keep(): Promise<void> {
    if (this.#watch !== undefined) copyFileSync(this.#watch.file, join(this.#kept, 'bridge.pcap'));
    for (const [name, { host }] of this.#hosts) {
      const folder = join(this.#kept, name);
      mkdirSync(folder);
      await host.run(
        `cp -r /run/*.log /run/*/*.log /var/log ${folder}/ 2>/dev/null; cd ${folder}; ip address >address; ip xfrm state >state; ip -s xfrm policy >policy; cat /proc/net/xfrm_stat >xfrm-statistics; ps -ef >processes; nft list ruleset >nft 2>&1`,
        20_000,
      );
    }
  }
}
