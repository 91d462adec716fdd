/** A daemon as a process of its own, as an administrator would start it; for the demo, end-to-end tests and benchmarks. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type ControlClient, controlClient } from '../../admin/control-client.ts';
import { type Clock, systemClock } from '../../base/clock.ts';
import { PosternError } from '../../base/error.ts';

/** The `postern` command. */
export const MAIN = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
const PARENT_WATCH = new URL('parent-watch.ts', import.meta.url).href;
const READY_WITHIN_MS = 60_000;
const STOP_WITHIN_MS = 20_000;
const KEPT_OUTPUT = 200_000;

export interface DaemonProcessOptions {
  readonly role: 'edge' | 'hub';
  readonly configFile: string;
  /** The configuration's data folder: the control socket is there. */
  readonly data: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
  /** Gives up the start: the process is killed. */
  readonly signal?: AbortSignal;
}

export class DaemonProcess implements AsyncDisposable {
  readonly role: 'edge' | 'hub';
  readonly control: ControlClient;
  /** Resolves to its exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
  readonly #child: ChildProcess;
  #output = '';
  #exit: number | string | undefined;

  private constructor(role: 'edge' | 'hub', child: ChildProcess, control: ControlClient) {
    this.role = role;
    this.#child = child;
    this.control = control;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-KEPT_OUTPUT);
      });
    }
    this.ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('exit', (code, signal) => resolve(code ?? signal ?? 'unknown'));
    });
    void this.ended.then((exit) => {
      this.#exit = exit;
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get running(): boolean {
    return this.#exit === undefined;
  }

  /** The end of what it logged. */
  get output(): string {
    return this.#output;
  }

  /** Starts a daemon and resolves when it answers on its control socket; rejects with its log when it ends before. */
  static async start(options: DaemonProcessOptions): Promise<DaemonProcess> {
    const clock = options.clock ?? systemClock;
    options.signal?.throwIfAborted();
    // A session of its own, so that Ctrl-C at our terminal is ours to handle; when we are gone, the pipe tells it.
    const child = spawn(
      process.execPath,
      ['--import', PARENT_WATCH, MAIN, options.role, 'run', '--config', options.configFile],
      {
        stdio: ['pipe', 'pipe', 'pipe'],
        detached: true,
        env: { ...process.env, ...options.environment },
      },
    );
    child.stdin?.on('error', () => undefined);
    const daemon = new DaemonProcess(options.role, child, controlClient(`${options.data}/control.sock`));
    const killWithUs = (): void => void child.kill('SIGKILL');
    process.once('exit', killWithUs);
    child.once('exit', () => process.off('exit', killWithUs));
    const giveUpAt = clock.monotonic() + READY_WITHIN_MS;
    for (;;) {
      const answer = await daemon.control.call<{ role: string }>('GET', '/v1/status').catch(() => undefined);
      if (answer?.role === options.role && daemon.running) return daemon;
      if (options.signal?.aborted === true) {
        await daemon.kill();
        throw new PosternError('canceled', `starting the ${options.role} daemon was canceled`);
      }
      if (!daemon.running || clock.monotonic() > giveUpAt) {
        await daemon.kill();
        throw new PosternError(
          'internal',
          `the ${options.role} daemon did not start (${String(daemon.#exit ?? 'no answer')}):\n${daemon.output}`,
        );
      }
      await clock.sleep('daemon.ready', 10);
    }
  }

  /** Ends it in good order, and returns its exit code (or signal). */
  async stop(clock: Clock = systemClock): Promise<number | string> {
    this.#child.kill('SIGTERM');
    const insist = clock.after('daemon.kill', STOP_WITHIN_MS, () => this.#child.kill('SIGKILL'), {
      background: true,
    });
    const exit = await this.ended;
    insist.cancel();
    return exit;
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.ended;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
