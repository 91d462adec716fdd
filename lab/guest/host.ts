/**
 * A host of the lab: namespaces (network, mounts, processes, name) with a shell that was started beforehand as its process 1, since
 * starting a process from Node costs three times as much in a guest as from a shell. Knows nothing of scenarios.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

export interface Ran {
  /** Standard output and standard error, in the order in which they came. */
  readonly output: string;
  readonly status: number;
}

export interface HostOptions {
  readonly name: string;
  /** False: it stays in the namespaces of the guest itself, as the observer does. */
  readonly ownNamespaces: boolean;
  readonly environment: Readonly<Record<string, string>>;
}

const COMMANDS = '/mnt/command';

export class Host {
  readonly name: string;
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, (status: number) => void>();
  #ready: (() => void) | undefined;
  #number = 0;
  #ended: Promise<void>;
  #isEnded = false;

  private constructor(name: string, child: ChildProcess) {
    this.name = name;
    this.#process = child;
    this.#ended = new Promise((resolve) => {
      child.once('close', () => {
        this.#isEnded = true;
        for (const done of this.#waiting.values()) done(-1);
        this.#ready?.();
        resolve();
      });
    });
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (line === 'ready') this.#ready?.();
        const [number, status] = line.split(' ').map(Number);
        if (number !== undefined) this.#waiting.get(number)?.(status ?? -1);
      });
  }

  /** Of a host with namespaces of its own, `/etc` and `/var` are those it had before, else `/mnt/command/NAME.files`. */
  static async start({ name, ownNamespaces, environment }: HostOptions): Promise<Host> {
    const shell = ['sh', '/mnt/top/lab/guest/host.sh'];
    const own = ['--net', '--uts', '--mount', '--pid', '--fork', '--kill-child=KILL', '--mount-proc'];
    const [command, ...args] = ownNamespaces ? ['unshare', ...own, ...shell] : shell;
    const child = spawn(command ?? 'sh', args, {
      env: { ...environment, HOST: name },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const host = new Host(name, child);
    await new Promise<void>((resolve) => {
      host.#ready = resolve;
    });
    if (host.#isEnded) throw new Error(`host ${name} did not start: see guest.log`);
    return host;
  }

  /** A process in the host's network, for `ip link set netns`. */
  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Runs a shell command. After the time limit the whole host is ended, and status is -1. */
  async run(command: string, limitMs = 180_000): Promise<Ran> {
    if (this.#isEnded) return { output: `host ${this.name} has ended`, status: -1 };
    this.#number += 1;
    const number = this.#number;
    const file = `${COMMANDS}/${this.name}.${number}`;
    writeFileSync(file, `${command}\n`);
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), limitMs);
    const started = performance.now();
    const status = await new Promise<number>((resolve) => {
      this.#waiting.set(number, resolve);
      this.#process.stdin?.write(`${number}\n`);
    });
    clearTimeout(timer);
    this.#waiting.delete(number);
    const output = existsSync(`${file}.out`) ? readFileSync(`${file}.out`, 'utf8') : '';
    const late = performance.now() - started >= limitMs;
    return {
      output: late ? `${output}\n[no end within ${limitMs} ms: the host was ended]\n` : output,
      status,
    };
  }

  async stop(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#ended;
  }
}
