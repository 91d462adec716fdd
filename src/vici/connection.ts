/**
 * One connection to charon's vici socket. vici has no request numbers, so one command at a time is on its way and the others wait in
 * order: also the back-pressure of what we send. Streamed answers come as an async iterable; a slow reader of one holds the socket
 * up, which is why lasting events have a connection of their own (`session.ts`). Knows no command by its meaning.
 *
 * After the end, whoever waits gets `vici.closed`; after an answer that did not come in time nobody could say which answer belongs
 * to whom, so the connection ends with `vici.timeout`.
 */
import { connect, type Socket } from 'node:net';
import type { Clock, Timer } from '../base/clock.ts';
import { PosternError } from '../base/error.ts';
import { ViciFramer } from './framer.ts';
import type { ViciSection, ViciTree } from './message.ts';
import { decodePacket, encodeRegister, encodeRequest, encodeUnregister, type ViciPacket } from './packet.ts';
import { EventStream } from './event-stream.ts';

export interface CallOptions {
  /** Longest time without anything heard of this command, milliseconds; 15,000 unless told. */
  readonly timeoutMs?: number;
}

/** What commands need: a connection, or a session's present one. */
export interface ViciCaller {
  /** The response, whatever it says. Rejects with `vici.closed`, `vici.timeout`, `vici.unsupported`, `vici.too-large`. */
  call(command: string, message?: ViciTree, options?: CallOptions): Promise<ViciSection>;
  /** The messages of `event` that `command` raises, as they come; ends with its response. May be left before the end. */
  stream(
    command: string,
    event: string,
    message?: ViciTree,
    options?: CallOptions,
  ): AsyncIterable<ViciSection>;
}

export interface ViciConnectionOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly onEvent?: (name: string, message: ViciSection) => void;
  /** Called once when the connection has ended by anything but `close`. */
  readonly onLost?: (error: PosternError) => void;
}

const TIMEOUT_MS = 15_000;

/** Rejects with `vici.unreachable`. */
export async function connectVici(options: ViciConnectionOptions): Promise<ViciConnection> {
  const socket = await new Promise<Socket>((resolve, reject) => {
    const made = connect({ path: options.path });
    const timer = options.clock.after('vici.connect', TIMEOUT_MS, () => made.destroy(new Error('no answer')));
    const onError = (cause: Error): void => {
      timer.cancel();
      reject(unreachable(options.path, cause));
    };
    made.once('error', onError);
    made.once('connect', () => {
      timer.cancel();
      made.off('error', onError);
      resolve(made);
    });
  });
  return new ViciConnection(socket, options);
}

interface Job {
  readonly what: string;
  readonly bytes: Buffer;
  readonly timeoutMs: number;
  readonly stream: { readonly event: string; readonly to: EventStream } | undefined;
  /** False: not an answer to this. */
  readonly onAnswer: (packet: ViciPacket) => boolean;
  readonly onEnd: (error: PosternError) => void;
}

export class ViciConnection implements ViciCaller, AsyncDisposable {
  readonly #socket: Socket;
  readonly #options: ViciConnectionOptions;
  readonly #framer = new ViciFramer();
  readonly #waiting: Job[] = [];
  readonly #registered = new Set<string>();
  #current: Job | undefined;
  #timer: Timer | undefined;
  #ended: PosternError | undefined;

  constructor(socket: Socket, options: ViciConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('error', (cause) => this.#end(closed('the connection to charon failed', cause), true));
    socket.on('close', () => this.#end(closed('charon closed the connection'), true));
  }

  get open(): boolean {
    return this.#ended === undefined;
  }

  call(command: string, message: ViciTree = {}, options: CallOptions = {}): Promise<ViciSection> {
    return this.#command(command, message, options, undefined);
  }

  async *stream(
    command: string,
    event: string,
    message: ViciTree = {},
    options: CallOptions = {},
  ): AsyncGenerator<ViciSection, void> {
    // Raised for the connection that asked only, so that staying registered costs nothing and saves two round trips.
    await this.register(event);
    const to = new EventStream({
      pause: () => this.#hold(true),
      resume: () => this.#hold(false),
    });
    this.#command(command, message, options, { event, to }).then(
      () => to.end(),
      (error: unknown) => to.fail(error),
    );
    try {
      yield* to;
    } finally {
      to.discard();
    }
  }

  /** Throws `vici.unsupported` when this charon has no such event. */
  async register(event: string): Promise<void> {
    if (this.#registered.has(event)) return;
    await this.#exchange(`register ${event}`, encodeRegister(event), (kind) => kind === 'confirmed');
    this.#registered.add(event);
  }

  async unregister(event: string): Promise<void> {
    if (!this.#registered.delete(event)) return;
    await this.#exchange(`unregister ${event}`, encodeUnregister(event), (kind) => kind === 'confirmed');
  }

  /** Ends the connection; what is on its way rejects with `vici.closed`. */
  close(): void {
    this.#end(closed('the connection to charon was closed'), false);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  #command(
    command: string,
    message: ViciTree,
    { timeoutMs = TIMEOUT_MS }: CallOptions,
    stream: Job['stream'],
  ): Promise<ViciSection> {
    return new Promise((resolve, reject) => {
      this.#enqueue({
        what: command,
        bytes: encodeRequest(command, message),
        timeoutMs,
        stream,
        onAnswer(packet) {
          if (packet.kind === 'response') resolve(packet.message);
          else if (packet.kind === 'unknownCommand') reject(unsupported('command', command));
          else return false;
          return true;
        },
        onEnd: reject,
      });
    });
  }

  #exchange(what: string, bytes: Buffer, isYes: (kind: ViciPacket['kind']) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#enqueue({
        what,
        bytes,
        timeoutMs: TIMEOUT_MS,
        stream: undefined,
        onAnswer({ kind }) {
          if (isYes(kind)) resolve();
          else if (kind === 'unknownEvent') reject(unsupported('event', what.slice(what.indexOf(' ') + 1)));
          else return false;
          return true;
        },
        onEnd: reject,
      });
    });
  }

  #enqueue(job: Job): void {
    if (this.#ended !== undefined) return job.onEnd(this.#ended);
    this.#waiting.push(job);
    if (this.#current === undefined) this.#next();
  }

  #next(): void {
    this.#timer?.cancel();
    this.#current = this.#waiting.shift();
    if (this.#current === undefined) return;
    this.#socket.write(this.#current.bytes);
    this.#await(this.#current);
  }

  #await(job: Job): void {
    this.#timer?.cancel();
    if (this.#socket.isPaused()) return;
    this.#timer = this.#options.clock.after('vici.answer', job.timeoutMs, () =>
      this.#end(
        new PosternError('vici.timeout', `charon has not answered ${job.what} for ${job.timeoutMs} ms`, {
          hint: 'look at what charon does: its log, and swanctl --stats',
          fields: { command: job.what },
        }),
        true,
      ),
    );
  }

  /** A reader of a stream has more than it wants, or wants more: then it is not charon that is late. */
  #hold(held: boolean): void {
    if (held) {
      this.#socket.pause();
      this.#timer?.cancel();
    } else {
      this.#socket.resume();
      if (this.#current !== undefined && this.open) this.#await(this.#current);
    }
  }

  #onData(chunk: Buffer): void {
    if (!this.open) return;
    this.#framer.push(chunk);
    try {
      for (const bytes of this.#framer) {
        this.#onPacket(decodePacket(bytes));
        if (!this.open) return;
      }
    } catch (cause) {
      this.#end(closed('charon, or whatever listens there, sent something that is not vici', cause), true);
    }
  }

  #onPacket(packet: ViciPacket): void {
    const job = this.#current;
    if (packet.kind === 'event') {
      if (job?.stream?.event !== packet.name) return this.#options.onEvent?.(packet.name, packet.message);
      this.#await(job);
      job.stream.to.push(packet.message);
    } else if (job?.onAnswer(packet) === true) {
      this.#next();
    } else {
      this.#end(closed(`charon sent an answer (${packet.kind}) that nobody asked for`), true);
    }
  }

  #end(error: PosternError, lost: boolean): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#timer?.cancel();
    this.#socket.destroy();
    const jobs = [this.#current, ...this.#waiting.splice(0)];
    this.#current = undefined;
    for (const job of jobs) job?.onEnd(error);
    if (lost) this.#options.onLost?.(error);
  }
}

function closed(message: string, cause?: unknown): PosternError {
  return new PosternError('vici.closed', message, {
    hint: "charon's log says why; our daemon connects again by itself",
    ...(cause === undefined ? {} : { cause }),
  });
}

function unsupported(kind: 'command' | 'event', name: string): PosternError {
  return new PosternError('vici.unsupported', `this charon does not know the ${kind} ${name}`, {
    hint: 'strongSwan 5.9.8 or newer is needed; some commands need a plugin of charon (counters)',
    fields: { [kind]: name },
  });
}

const UNREACHABLE: Readonly<Record<string, readonly [what: string, hint: string]>> = {
  ENOENT: [
    'there is no such socket',
    'start strongSwan (systemctl start strongswan), or name the socket of its vici plugin',
  ],
  ECONNREFUSED: ['nobody listens there', 'charon ended and left its socket: start strongSwan'],
  EACCES: ['this user may not open it', "run as root, or as a member of the socket's group"],
  EPERM: ['this user may not open it', "run as root, or as a member of the socket's group"],
  EAGAIN: ['charon takes no more connections', 'charon hangs, or too many programs wait for it'],
};

function unreachable(path: string, cause: Error): PosternError {
  const systemCode = String((cause as { code?: unknown }).code ?? 'unknown');
  const [what, hint] = UNREACHABLE[systemCode] ?? [cause.message, 'is strongSwan running?'];
  return new PosternError('vici.unreachable', `charon's vici socket ${path} cannot be used: ${what}`, {
    hint,
    cause,
    fields: { path, systemCode },
  });
}
