/**
 * Talk between network namespaces, without time limits: what is sent is either answered, refused, or seen in a counter of whoever dropped it.
 *
 *   await using a = await Talker.inside(pair.a);
 *   await b.serve('10.66.0.2', 110);
 *   expect(await a.tcp('10.66.0.2', 110, () => dropped(guard))).toBe('connected');
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { NetworkNamespace } from './network-namespace.ts';

export interface TalkOptions {
  readonly from?: string;
  /** Octets of a datagram. */
  readonly size?: number;
}

export class Talker implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (text: string) => void>();
  #last = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).on('line', (line) => {
        const { id, text } = JSON.parse(line) as { id: number; text: string };
        this.#waiting.get(id)?.(text);
      });
  }

  static async inside(namespace: NetworkNamespace): Promise<Talker> {
    const [program, ...args] = namespace.enter(
      process.execPath,
      fileURLToPath(new URL('talk-child.ts', import.meta.url)),
    );
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    await once(child, 'spawn');
    return new Talker(child);
  }

  async serve(host: string, ...ports: readonly number[]): Promise<void> {
    for (const port of ports) await this.#order('serve', host, port, {});
  }

  /** "connected", an error code, or "dropped" as soon as `dropped` says that somebody has dropped something. */
  tcp(
    host: string,
    port: number,
    dropped: () => Promise<boolean>,
    options: TalkOptions = {},
  ): Promise<string> {
    return this.#unless(dropped, this.#order('tcp', host, port, options));
  }

  /** "answered", an error code, or "dropped". */
  udp(
    host: string,
    port: number,
    dropped: () => Promise<boolean>,
    options: TalkOptions = {},
  ): Promise<string> {
    return this.#unless(dropped, this.#order('udp', host, port, options));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }

  async #unless(dropped: () => Promise<boolean>, talk: Promise<string>): Promise<string> {
    let said: string | undefined;
    const ended = talk.then((text) => {
      said = text;
    });
    while (said === undefined) {
      if (await dropped()) return said ?? 'dropped';
      await Promise.race([ended, new Promise((resolve) => setImmediate(resolve))]);
    }
    return said;
  }

  #order(what: string, host: string, port: number, options: TalkOptions): Promise<string> {
    const id = ++this.#last;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#child.stdin?.write(`${JSON.stringify({ id, what, host, port, ...options })}\n`);
    });
  }
}
