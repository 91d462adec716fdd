/**
 * charon for as long as our daemon lives: one connection for commands and one for events, made again when charon comes back. A
 * charon that dies closes its sockets, so `onDown` follows within milliseconds. What was loaded into it is gone then: `onUp` says when
 * to load again.
 */
import { type BackoffOptions, backoffDelay } from '../base/backoff.ts';
import type { Clock, Timer } from '../base/clock.ts';
import { isPosternError, PosternError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { type CallOptions, connectVici, type ViciCaller, type ViciConnection } from './connection.ts';
import type { ViciSection, ViciTree } from './message.ts';

export interface ViciSessionOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Events to be told of; one that this charon does not have is left out (`missingEvents`). */
  readonly events: readonly string[];
  readonly onEvent: (name: string, message: ViciSection) => void;
  readonly onUp: () => void;
  /** Why charon is away; also for every attempt that fails. */
  readonly onDown: (error: PosternError) => void;
}

/** A charon that is started anew shall be found at once; asking is cheap. */
const AGAIN: BackoffOptions = { firstMs: 50, mostMs: 1000 };

export class ViciSession implements ViciCaller, AsyncDisposable {
  readonly #options: ViciSessionOptions;
  #commands: ViciConnection | undefined;
  #events: ViciConnection | undefined;
  #missing: readonly string[] = [];
  #failures = 0;
  /** An attempt that was overtaken, by an end or by `stop`, must not go on. */
  #attempt = 0;
  #timer: Timer | undefined;
  #state: 'idle' | 'connecting' | 'up' | 'waiting' | 'stopped' = 'idle';

  constructor(options: ViciSessionOptions) {
    this.#options = options;
  }

  get up(): boolean {
    return this.#state === 'up';
  }

  /** Events that this charon does not have. */
  get missingEvents(): readonly string[] {
    return this.#missing;
  }

  start(): void {
    if (this.#state === 'idle') void this.#connect();
  }

  stop(): void {
    this.#state = 'stopped';
    this.#timer?.cancel();
    this.#drop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    return Promise.resolve();
  }

  call(command: string, message?: ViciTree, options?: CallOptions): Promise<ViciSection> {
    const connection = this.#commands;
    return connection === undefined
      ? Promise.reject(away(this.#options.path))
      : connection.call(command, message, options);
  }

  async *stream(
    command: string,
    event: string,
    message?: ViciTree,
    options?: CallOptions,
  ): AsyncGenerator<ViciSection> {
    if (this.#commands === undefined) throw away(this.#options.path);
    yield* this.#commands.stream(command, event, message, options);
  }

  async #connect(): Promise<void> {
    const { path, clock, onEvent, log } = this.#options;
    this.#state = 'connecting';
    this.#attempt += 1;
    const attempt = this.#attempt;
    const onLost = (error: PosternError): void => {
      if (attempt === this.#attempt) this.#lost(error);
    };
    const keep = (connection: ViciConnection): ViciConnection => {
      if (attempt === this.#attempt) return connection;
      connection.close();
      throw away(path);
    };
    try {
      const events = keep(await connectVici({ path, clock, onEvent, onLost }));
      this.#events = events;
      this.#missing = await registerAll(events, this.#options.events);
      this.#commands = keep(await connectVici({ path, clock, onLost }));
    } catch (error) {
      return onLost(error instanceof PosternError ? error : away(path, error));
    }
    this.#state = 'up';
    this.#failures = 0;
    log.info('charon answers', { path });
    this.#options.onUp();
  }

  #lost(error: PosternError): void {
    this.#drop();
    const { clock, random, log, path } = this.#options;
    if (this.#failures === 0) log.warn('charon is away', { path, error });
    this.#failures += 1;
    this.#state = 'waiting';
    this.#timer = clock.after('vici.again', backoffDelay(this.#failures, AGAIN, random), () => {
      void this.#connect();
    });
    this.#options.onDown(error);
  }

  #drop(): void {
    this.#attempt += 1;
    const [commands, events] = [this.#commands, this.#events];
    this.#commands = this.#events = undefined;
    commands?.close();
    events?.close();
  }
}

/** Resolves to the events that this charon does not have. */
async function registerAll(connection: ViciConnection, events: readonly string[]): Promise<string[]> {
  const missing: string[] = [];
  for (const event of events) {
    await connection.register(event).catch((error: unknown) => {
      if (!isPosternError(error, 'vici.unsupported')) throw error;
      missing.push(event);
    });
  }
  return missing;
}

function away(path: string, cause?: unknown): PosternError {
  return new PosternError('vici.unreachable', `charon does not answer on ${path}`, {
    hint: 'systemctl status strongswan; our daemon connects by itself when it is back',
    fields: { path },
    ...(cause === undefined ? {} : { cause }),
  });
}
