/**
 * Network namespaces for tests, each held by a process of ours, so that the kernel removes it with the test however that ends. Needs root.
 *
 *   await using pair = await NetworkPair.create();     // two, with a cable between: pair.a 10.66.0.1, pair.b 10.66.0.2 (IPv6 fd66::1, fd66::2)
 *   await pair.a.run('ip', 'addr');
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';

const execute = promisify(execFile);

export class NetworkNamespace implements AsyncDisposable {
  readonly #holder: ChildProcess;
  readonly pid: number;

  private constructor(holder: ChildProcess, pid: number) {
    this.#holder = holder;
    this.pid = pid;
  }

  /** With its loopback up. */
  static async create(): Promise<NetworkNamespace> {
    // Reads until we end: the holder lives no longer than we do. It says a line when it is inside.
    const holder = spawn('unshare', ['--net', 'sh', '-c', 'ip link set lo up; echo inside; read -r _'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const [said] = (await Promise.race([
      once(holder.stdout, 'data'),
      once(holder, 'exit').then(() => ['']),
    ])) as [unknown];
    if (String(said) !== 'inside\n' || holder.pid === undefined)
      throw new Error('no network namespace could be made: these tests need root (CAP_SYS_ADMIN)');
    return new NetworkNamespace(holder, holder.pid);
  }

  /** The command line that runs `command` inside. */
  enter(...command: readonly string[]): [string, ...string[]] {
    return ['nsenter', '-t', String(this.pid), '-n', ...command];
  }

  /** Runs a program inside; resolves to its standard output, rejects when it fails. */
  async run(...command: readonly string[]): Promise<string> {
    const [program, ...args] = this.enter(...command);
    return (await execute(program, args, { maxBuffer: 1 << 26 })).stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#holder.exitCode !== null || this.#holder.signalCode !== null) return;
    const exited = once(this.#holder, 'exit');
    this.#holder.kill('SIGKILL');
    await exited;
  }
}

export class NetworkPair implements AsyncDisposable {
  readonly a: NetworkNamespace;
  readonly b: NetworkNamespace;

  private constructor(a: NetworkNamespace, b: NetworkNamespace) {
    this.a = a;
    this.b = b;
  }

  static async create(): Promise<NetworkPair> {
    const [a, b] = [await NetworkNamespace.create(), await NetworkNamespace.create()];
    const pair = new NetworkPair(a, b);
    try {
      await a.run(
        'ip',
        'link',
        'add',
        'wire',
        'type',
        'veth',
        'peer',
        'name',
        'wire',
        'netns',
        String(b.pid),
      );
      for (const [side, number] of [
        [a, 1],
        [b, 2],
      ] as const) {
        await side.run('ip', 'addr', 'add', `10.66.0.${number}/24`, 'dev', 'wire');
        await side.run('ip', 'addr', 'add', `fd66::${number}/64`, 'dev', 'wire', 'nodad');
        await side.run('ip', 'link', 'set', 'wire', 'up');
      }
    } catch (error) {
      await pair[Symbol.asyncDispose]();
      throw error;
    }
    return pair;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.a[Symbol.asyncDispose]();
    await this.b[Symbol.asyncDispose]();
  }
}
