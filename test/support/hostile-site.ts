/** Starts `hostile-server.ts` and holds its attackers' connections. */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock, yieldToLoop } from '../../src/base/clock.ts';
import { connectLdap, type LdapClient } from '../../src/ldap/client.ts';
import { parseFilter } from '../../src/ldap/filter.ts';
import type { ListenerLimits } from '../../src/ldap/server-limits.ts';
import { makeCertificate } from './certificate.ts';
import type { HostileOptions, HostileState } from './hostile-server.ts';

type Message = { readonly ports: readonly [number, number] } | { readonly state: HostileState };

export class HostileSite implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly localPort: number;
  readonly edgePort: number;
  readonly #sockets = new Set<Socket>();
  readonly #clients: LdapClient[] = [];

  private constructor(child: ChildProcess, folder: string, ports: readonly [number, number]) {
    this.#child = child;
    this.#folder = folder;
    [this.localPort, this.edgePort] = ports;
  }

  static async start(people: number, limits: Partial<ListenerLimits> = {}): Promise<HostileSite> {
    const folder = await mkdtemp(join(tmpdir(), 'postern-hostile-'));
    const { certificate, key } = await makeCertificate();
    const options: HostileOptions = {
      people,
      limits,
      certificate: join(folder, 'certificate.pem'),
      key: join(folder, 'key.pem'),
    };
    await writeFile(options.certificate, certificate);
    await writeFile(options.key, key);
    const child = fork(join(import.meta.dirname, 'hostile-server.ts'), [JSON.stringify(options)], {
      execArgv: ['--expose-gc'],
    });
    const message = await next(child);
    if (!('ports' in message)) throw new Error('the server did not say where it listens');
    return new HostileSite(child, folder, message.ports);
  }

  async state(): Promise<HostileState> {
    const answer = next(this.#child);
    this.#child.send('state');
    const message = await answer;
    if (!('state' in message)) throw new Error('the server did not say how it is');
    return message.state;
  }

  /** Waits until the server is as described. */
  async until(condition: (state: HostileState) => boolean): Promise<HostileState> {
    for (;;) {
      const state = await this.state();
      if (condition(state)) return state;
      await yieldToLoop();
    }
  }

  /** Connected sockets from sources 127.0.1.1, 127.0.1.2, ...: `each` from one source. Their errors are swallowed. */
  async attackers(count: number, { port = this.localPort, each = 200, first = 1 } = {}): Promise<Socket[]> {
    const sockets: Socket[] = [];
    for (let from = 0; from < count; from += 250) {
      const some = Array.from({ length: Math.min(250, count - from) }, (_, n) => {
        const localAddress = `127.0.1.${first + Math.floor((from + n) / each)}`;
        const socket = connect({ host: '127.0.0.1', port, localAddress });
        this.#sockets.add(socket);
        socket.on('error', () => undefined).once('close', () => this.#sockets.delete(socket));
        return socket;
      });
      await Promise.all(
        some.map(
          (socket) =>
            new Promise((resolve) => {
              socket.once('connect', resolve).once('close', resolve);
            }),
        ),
      );
      sockets.push(...some);
    }
    return sockets;
  }

  /** An honest client of `local`, from 127.0.0.1. */
  async client(): Promise<LdapClient> {
    const client = await connectLdap({ target: `ldap://127.0.0.1:${this.localPort}`, clock: systemClock });
    this.#clients.push(client);
    return client;
  }

  /** Ends all attackers. */
  async goAway(): Promise<void> {
    const closed = [...this.#sockets].map(
      (socket) => new Promise((resolve) => socket.once('close', resolve)),
    );
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closed);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.destroy();
    await this.goAway();
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    if (this.#child.exitCode === null) {
      this.#child.kill('SIGKILL');
      await gone;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function next(child: ChildProcess): Promise<Message> {
  return new Promise((resolve, reject) => {
    const onExit = (): void => reject(new Error('the server has ended'));
    child.once('exit', onExit);
    child.once('message', (message) => {
      child.off('exit', onExit);
      resolve(message as Message);
    });
  });
}

/** Asks for people, as a mail server would; throws unless each is found. */
export async function lookUp(
  client: LdapClient,
  count: number,
  filter = (n: number) => `(cn=p${n})`,
): Promise<void> {
  for (let n = 0; n < count; n++) {
    let found = 0;
    const search = client.search({
      base: 'dc=example,dc=org',
      filter: parseFilter(filter(n)),
      attributes: ['cn'],
    });
    for await (const { operation } of search) if (operation.op === 'searchResultEntry') found++;
    if (found !== 1) throw new Error(`${found} entries for one lookup`);
  }
}
