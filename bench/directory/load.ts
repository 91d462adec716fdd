/** The load generator: built once a run, then started for each measurement. */
import { execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const SOURCE = fileURLToPath(new URL('load.c', import.meta.url));

export interface LoadResult {
  /** Requests answered, and those of them in the time that was measured. */
  readonly answered: number;
  readonly measured: number;
  readonly seconds: number;
  /** Of the server, within the measured time. */
  readonly cpuMs: number;
  /** Microseconds. */
  readonly p50: number;
  readonly p99: number;
}

export type LoadOperation = 'search' | 'add' | 'modify' | 'delete';

export type LoadOptions = Readonly<Record<string, string | number>>;

/** Compiles it into the folder; needs gcc and OpenSSL's headers. */
export async function buildLoad(folder: string): Promise<string> {
  const program = join(folder, 'load');
  try {
    await promisify(execFile)('gcc', ['-O2', '-o', program, SOURCE, '-lssl', '-lcrypto']);
  } catch (error) {
    throw new Error('the load generator cannot be built: scripts/setup-tests installs gcc and libssl-dev', {
      cause: error,
    });
  }
  return program;
}

/** Runs loads at the same time: all are connected before the first request. Rejects at the first wrong answer. */
export async function runLoads(
  program: string,
  ...loads: readonly { readonly operation: LoadOperation; readonly options: LoadOptions }[]
): Promise<LoadResult[]> {
  const running = loads.map(({ operation, options }) => startLoad(program, operation, options));
  await Promise.all(running.map(({ ready }) => ready));
  for (const { begin } of running) begin();
  return Promise.all(running.map(({ result }) => result));
}

function startLoad(program: string, operation: LoadOperation, options: LoadOptions) {
  const words = Object.entries(options).map(([name, value]) => `${name}=${value}`);
  const child = spawn(program, [operation, ...words], { stdio: ['pipe', 'pipe', 'pipe'] });
  const killWithUs = (): void => void child.kill('SIGKILL');
  process.once('exit', killWithUs);
  let output = '';
  let errors = '';
  child.stdin.on('error', () => undefined);
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const ready = Promise.withResolvers<void>();
  const result = Promise.withResolvers<LoadResult>();
  // Whoever waits for `ready` hears of a failure there.
  result.promise.catch(() => undefined);
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    if (output.includes('ready\n')) ready.resolve();
  });
  child.once('error', (error) => {
    ready.reject(error);
    result.reject(error);
  });
  child.once('close', (code) => {
    process.off('exit', killWithUs);
    if (code === 0) {
      result.resolve(JSON.parse(output.slice(output.indexOf('{'))) as LoadResult);
      return;
    }
    const error = new Error(`load ${operation} ${words.join(' ')} ended with ${code}: ${errors}`);
    ready.reject(error);
    result.reject(error);
  });
  return { ready: ready.promise, result: result.promise, begin: () => void child.stdin.write('\n') };
}
