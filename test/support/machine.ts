/**
 * A machine of its own as far as a set-up can tell: its own /etc, /var, /opt, /usr/local and /root (on top of this one's, gone with it),
 * its own processes and network. Linux namespaces, so it needs root. Nothing that happens in it touches this machine.
 *
 *   await using edge = await Machine.start('edge');
 *   await edge.run('useradd postern');
 *   await joinMachines(edge, '192.0.2.1', hub, '192.0.2.2');
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';

const OWN_FOLDERS = ['/etc', '/var', '/opt', '/usr/local', '/root'];
const INIT = `
set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
for folder in ${OWN_FOLDERS.join(' ')}; do
  mkdir -p /mnt/upper$folder /mnt/work$folder
  mount -t overlay overlay -o lowerdir=$folder,upperdir=/mnt/upper$folder,workdir=/mnt/work$folder $folder
done
echo ready
# Until the test lets go of the pipe, in whatever way it ends.
exec cat
`;
/** What a fresh login would have, and what the way to package registries needs here. */
const KEPT_VARIABLES =
  /^(LANG|(https?|no|all)_proxy|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|npm_config_(registry|userconfig|globalconfig|cafile|proxy|https_proxy))$/i;

export interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** With this machine's network instead of its own, to fetch packages. */
  readonly outside?: boolean;
  readonly input?: string;
}

export class Machine implements AsyncDisposable {
  readonly name: string;
  readonly #holder: ChildProcess;
  readonly #network: ChildProcess;
  /** Of the first process inside, and of the one that holds the network, as numbered here. */
  readonly init: number;
  readonly networkHolder: number;

  private constructor(name: string, holder: ChildProcess, network: ChildProcess, init: number) {
    this.name = name;
    this.#holder = holder;
    this.#network = network;
    this.init = init;
    this.networkHolder = network.pid ?? 0;
  }

  static async start(name: string): Promise<Machine> {
    // When the first process ends, everything inside is killed, and the mounts go.
    const holder = spawn(
      'unshare',
      ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc', 'sh', '-c', INIT],
      { stdio: 'pipe' },
    );
    await readyLine(holder);
    const network = spawn('unshare', ['--net', 'sh', '-c', 'ip link set lo up; echo ready; exec cat'], {
      stdio: 'pipe',
    });
    await readyLine(network);
    const killWithUs = (): void => {
      holder.kill('SIGKILL');
      network.kill('SIGKILL');
    };
    process.once('exit', killWithUs);
    holder.once('exit', () => process.off('exit', killWithUs));
    const { pid } = holder;
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return new Machine(name, holder, network, Number(children.trim()));
  }

  /** Runs a shell script as root in /root; never throws for an exit code. */
  run(script: string, options: RunOptions = {}): Promise<Outcome> {
    const net = options.outside === true ? [] : [`--net=/proc/${this.networkHolder}/ns/net`];
    return capture(
      'nsenter',
      [`--target=${this.init}`, '--mount', '--pid', ...net, '--wd=/root', 'sh', '-e', '-c', script],
      options.input ?? '',
    );
  }

  /** The same, throwing unless it exits with 0; returns what it printed. */
  async ok(script: string, options: RunOptions = {}): Promise<string> {
    const result = await this.run(script, options);
    if (result.exitCode !== 0)
      throw new Error(
        `on ${this.name}: ${script}\nexited with ${result.exitCode}\n${result.stdout}\n${result.stderr}`,
      );
    return result.stdout;
  }

  /** Writes a file, as an editor would: the folder must exist. */
  async write(path: string, content: string): Promise<void> {
    await this.ok(`cat > '${path}'`, { input: content });
  }

  /** Runs a program in its network only, among the processes and files of here. Throws unless it exits with 0. */
  async inNetwork(...command: string[]): Promise<void> {
    const { exitCode, stderr } = await capture(
      'nsenter',
      [`--net=/proc/${this.networkHolder}/ns/net`, ...command],
      '',
    );
    if (exitCode !== 0) throw new Error(`on ${this.name}: ${command.join(' ')}: ${stderr}`);
  }

  /** The same for a program that goes on. */
  spawnInNetwork(program: string, args: readonly string[]): ChildProcess {
    return spawn('nsenter', [`--net=/proc/${this.networkHolder}/ns/net`, program, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of [this.#holder, this.#network]) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await ended;
    }
  }
}

/** A cable between two machines. */
export async function joinMachines(
  a: Machine,
  addressOfA: string,
  b: Machine,
  addressOfB: string,
): Promise<void> {
  // Seen from here, where the other machine has a number.
  await a.inNetwork(
    'ip',
    'link',
    'add',
    'eth0',
    'type',
    'veth',
    'peer',
    'name',
    'eth0',
    'netns',
    String(b.networkHolder),
  );
  for (const [machine, address] of [
    [a, addressOfA],
    [b, addressOfB],
  ] as const) {
    await machine.inNetwork('ip', 'addr', 'add', `${address}/24`, 'dev', 'eth0');
    await machine.inNetwork('ip', 'link', 'set', 'eth0', 'up');
  }
}

async function readyLine(child: ChildProcess): Promise<void> {
  let said = '';
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) =>
      reject(new Error(`a machine of its own needs root and Linux namespaces (exit ${code}): ${said}`)),
    );
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        said += text;
        if (/^ready$/m.test(said)) resolve();
      });
  });
}

function capture(program: string, args: readonly string[], input: string): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: environment(), stdio: 'pipe' });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    child.once('error', reject);
    // `exit`, not `close`: a daemon that was started in there may keep a pipe.
    child.once('exit', (code) => resolve({ exitCode: code ?? -1, stdout, stderr }));
  });
}

function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => KEPT_VARIABLES.test(name));
  return {
    ...Object.fromEntries(kept),
    HOME: '/root',
    USER: 'root',
    LOGNAME: 'root',
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  };
}
