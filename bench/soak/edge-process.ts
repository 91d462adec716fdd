/** The edge's directory as a process (`bench/directory/edge-main.ts`) that also tells its memory when it is sent a message. */
import { type ChildProcess, fork } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCertificate } from '../../test/support/certificate.ts';
import { freePorts } from '../../test/support/slapd.ts';

export interface Memory {
  readonly rssMib: number;
  /** What the engine holds after its last collection of garbage, and what lives outside its heap. */
  readonly heapMib: number;
  readonly files: number;
}

const MIB = 1 << 20;

export class SoakEdge implements AsyncDisposable {
  readonly #folder: string;
  readonly #child: ChildProcess;
  readonly readerPort: number;
  readonly writerPort: number;

  private constructor(folder: string, child: ChildProcess, readerPort: number, writerPort: number) {
    this.#folder = folder;
    this.#child = child;
    this.readerPort = readerPort;
    this.writerPort = writerPort;
  }

  /** `key`: of the hashed addresses, hexadecimal. Resolves when it listens. */
  static async start(key: string): Promise<SoakEdge> {
    const folder = await mkdtemp(join(tmpdir(), 'postern-soak-'));
    const made = await makeCertificate();
    await mkdir(join(folder, 'edge'), { mode: 0o700 });
    const files = [join(folder, 'certificate.pem'), join(folder, 'key.pem')] as const;
    await writeFile(files[0], made.certificate);
    await writeFile(files[1], made.key, { mode: 0o600 });
    const ports = [...(await freePorts()), ...(await freePorts()), ...(await freePorts())].slice(0, 5);
    const child = fork(
      join(import.meta.dirname, 'edge-main.ts'),
      [join(folder, 'edge'), key, ...ports.map(String), ...files],
      { stdio: ['pipe', 'pipe', 'inherit', 'ipc'], execArgv: ['--expose-gc'] },
    );
    child.stdin?.on('error', () => undefined);
    await new Promise<void>((resolve, reject) => {
      child.stdout?.once('data', () => resolve());
      child.once('exit', (code, signal) => reject(new Error(`the edge ended with ${code ?? signal}`)));
    });
    return new SoakEdge(folder, child, ports[0] ?? 0, ports[4] ?? 0);
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async memory(): Promise<Memory> {
    const answer = new Promise<NodeJS.MemoryUsage>((resolve, reject) => {
      const onExit = (): void => reject(new Error('the edge has ended'));
      this.#child.once('exit', onExit).once('message', (usage) => {
        this.#child.off('exit', onExit);
        resolve(usage as NodeJS.MemoryUsage);
      });
    });
    this.#child.send('memory');
    const { rss, heapUsed, external } = await answer;
    return {
      rssMib: rss / MIB,
      heapMib: (heapUsed + external) / MIB,
      files: readdirSync(`/proc/${this.#child.pid}/fd`).length,
    };
  }

  /** Names of the snapshots that are there. */
  snapshots(): string[] {
    return readdirSync(join(this.#folder, 'edge'), { recursive: true })
      .map(String)
      .filter((name) => /snapshot/.test(name) && !name.endsWith('.new'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    if (this.running) {
      this.#child.kill('SIGTERM');
      await ended;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}
