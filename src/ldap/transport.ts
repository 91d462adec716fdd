/** Opens TCP and unix sockets to a server, and says in an administrator's words why it could not. No TLS (`tls.ts`), no LDAP. */
import { connect, type Socket } from 'node:net';
import type { Clock } from '../base/clock.ts';
import { type ErrorCode, PosternError } from '../base/error.ts';
import { lookupHost } from './loopback-name.ts';
import { describeTarget, type LdapTarget } from './transport-target.ts';

export interface TransportOptions {
  readonly target: LdapTarget;
  readonly clock: Clock;
  /** Name resolution included. */
  readonly timeoutMs: number;
  /** Address to connect from. */
  readonly localAddress?: string;
  readonly signal?: AbortSignal;
}

/** First probe of a silent TCP connection; the system then probes every second and gives up after ten. */
export const KEEP_ALIVE_MS = 30_000;

/** A connected socket, paused. Rejects with `name.unresolvable`, `connect.failed`, or `canceled`. */
export function openTransport(options: TransportOptions): Promise<Socket> {
  const { target, clock, signal } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(canceled(target));
    const socket =
      target.kind === 'unix'
        ? connect({ path: target.path })
        : connect({
            host: target.host,
            port: target.port,
            lookup: lookupHost,
            noDelay: true,
            keepAlive: true,
            keepAliveInitialDelay: KEEP_ALIVE_MS,
            ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }),
          });
    // An error that nobody waits for any more must not end the process.
    socket.on('error', () => undefined);
    const settle = (error?: PosternError): void => {
      timer.cancel();
      signal?.removeEventListener('abort', onAbort);
      socket.off('connect', onConnect).off('error', onError);
      if (error === undefined) return resolve(socket);
      socket.destroy();
      reject(error);
    };
    const timer = clock.after('ldap.connect', options.timeoutMs, () =>
      settle(timedOut(target, options.timeoutMs)),
    );
    const onAbort = (): void => settle(canceled(target));
    const onConnect = (): void => settle();
    const onError = (error: Error): void => settle(connectError(error, target));
    signal?.addEventListener('abort', onAbort, { once: true });
    socket.once('connect', onConnect).once('error', onError);
  });
}

function canceled(target: LdapTarget): PosternError {
  return new PosternError('canceled', `connecting to ${describeTarget(target)} was canceled`);
}

function timedOut(target: LdapTarget, timeoutMs: number): PosternError {
  return new PosternError(
    'connect.failed',
    `no answer from ${describeTarget(target)} within ${timeoutMs} ms`,
    {
      hint: 'a firewall that drops packets, a wrong address, or a machine that is down: check each from this machine',
      fields: fieldsOf(target, 'ETIMEDOUT'),
    },
  );
}

const REASONS: Readonly<Record<string, readonly [code: ErrorCode, what: string, hint: string]>> = {
  ENOTFOUND: [
    'name.unresolvable',
    'name does not resolve',
    'check the spelling, DNS, or add the name to /etc/hosts',
  ],
  ENODATA: [
    'name.unresolvable',
    'name has no address',
    'check its A and AAAA records, or add the name to /etc/hosts',
  ],
  EAI_AGAIN: [
    'name.unresolvable',
    'name server does not answer',
    'check /etc/resolv.conf and the way to the name server',
  ],
  EAI_FAIL: [
    'name.unresolvable',
    'name server answers with a failure',
    'ask it directly: dig or getent ahosts',
  ],
  ECONNREFUSED: [
    'connect.failed',
    'connection refused',
    'nothing listens there: is the server running, and is the port right?',
  ],
  ETIMEDOUT: [
    'connect.failed',
    'connection timed out',
    'a firewall that drops packets, or a machine that is down',
  ],
  EHOSTUNREACH: [
    'connect.failed',
    'host unreachable',
    'check the route and the firewall between the machines',
  ],
  ENETUNREACH: [
    'connect.failed',
    'network unreachable',
    'this machine has no route to that network (IPv6 address without IPv6?)',
  ],
  ECONNRESET: [
    'connect.failed',
    'connection reset',
    'something on the way or the server itself closed it at once: look in its log',
  ],
  EADDRNOTAVAIL: [
    'connect.failed',
    'local address not available',
    'check the local address in the configuration',
  ],
  EACCES: ['connect.failed', 'permission denied', 'check the permissions of the socket file and its folders'],
  EPERM: ['connect.failed', 'not permitted', 'a local firewall rule forbids it'],
  ENOENT: ['connect.failed', 'socket file does not exist', 'is the server running, and is the path right?'],
};

/** An error of `net.connect` in our terms. */
export function connectError(error: Error, target: LdapTarget): PosternError {
  const systemCode = (error as { code?: unknown }).code;
  const name = typeof systemCode === 'string' ? systemCode : 'unknown';
  const [code, what, hint] = REASONS[name] ?? ['connect.failed', error.message.toLowerCase(), undefined];
  return new PosternError(code, `cannot connect to ${describeTarget(target)}: ${what}`, {
    // Of several addresses that were tried, Node's error has a name and no message: it would say nothing.
    ...(error.message === '' ? {} : { cause: error }),
    fields: fieldsOf(target, name),
    ...(hint === undefined ? {} : { hint }),
  });
}

function fieldsOf(target: LdapTarget, systemCode: string): Record<string, string | number> {
  return target.kind === 'unix'
    ? { path: target.path, systemCode }
    : { host: target.host, port: target.port, systemCode };
}
