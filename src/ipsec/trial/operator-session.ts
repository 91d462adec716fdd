/**
 * The session of whoever gives a command: its connection to this host, and when it was opened. Asked of the process tree, since `sudo` drops SSH_CONNECTION
 * and anybody may set it. Reads /proc through the files that are handed in.
 */
import type { Files } from '../../base/files.ts';
import { canonicalAddress } from '../policy/address.ts';
import type { OperatorFlow } from './plan.ts';

export interface OperatorSession {
  /** Undefined when the session does not come over SSH. */
  readonly flow: OperatorFlow | undefined;
  /** Seconds of CLOCK_BOOTTIME; undefined when nobody can tell (a multiplexer that outlives its session, a job). */
  readonly openedAt: number | undefined;
}

/** Kernel's ticks a second in /proc, on every architecture of Linux that there is. */
const TICKS = 100;
const MOST_ANCESTORS = 64;
const SSH_SERVERS = new Set(['sshd', 'sshd-session', 'dropbear']);

/** `own`: SSH_CONNECTION of the environment, used where no ancestor has one. */
export async function operatorSession(
  files: Files,
  pid: number,
  own: string | undefined,
): Promise<OperatorSession> {
  let connection = own;
  let at = pid;
  for (let depth = 0; depth < MOST_ANCESTORS && at > 1; depth++) {
    const ancestor = await readProcess(files, at);
    if (ancestor === undefined) break;
    if (SSH_SERVERS.has(ancestor.name))
      return { flow: parseConnection(connection), openedAt: ancestor.startedAt };
    connection = (await readConnection(files, at)) ?? connection;
    // A login on the machine itself: whoever sits there is not locked out.
    if (ancestor.name === 'login' || ancestor.name === 'agetty')
      return { flow: undefined, openedAt: ancestor.startedAt };
    at = ancestor.parent;
  }
  return { flow: parseConnection(connection), openedAt: undefined };
}

interface Process {
  readonly name: string;
  readonly parent: number;
  readonly startedAt: number;
}

/** proc(5), /proc/PID/stat: the name is in parentheses and may hold any character. */
async function readProcess(files: Files, pid: number): Promise<Process | undefined> {
  const text = await files.readFile(`/proc/${pid}/stat`).then(String, () => undefined);
  const match = /^\d+ \(([^]*)\) (.*)$/s.exec(text ?? '');
  const fields = match?.[2]?.trim().split(' ') ?? [];
  const [parent, started] = [Number(fields[1]), Number(fields[19])];
  if (match === null || !Number.isInteger(parent) || !Number.isInteger(started)) return undefined;
  return { name: match[1] ?? '', parent, startedAt: started / TICKS };
}

async function readConnection(files: Files, pid: number): Promise<string | undefined> {
  const text = await files.readFile(`/proc/${pid}/environ`).then(String, () => '');
  return text
    .split('\0')
    .find((line) => line.startsWith('SSH_CONNECTION='))
    ?.slice('SSH_CONNECTION='.length);
}

/** "client port server port", as sshd(8) writes it. */
export function parseConnection(text: string | undefined): OperatorFlow | undefined {
  const [peer, peerPort, own, ownPort, ...rest] = (text ?? '').split(' ');
  const [from, to] = [canonicalAddress(plain(peer)), canonicalAddress(plain(own))];
  if (from === undefined || to === undefined || rest.length > 0) return undefined;
  const [fromPort, toPort] = [Number(peerPort), Number(ownPort)];
  if (![fromPort, toPort].every((port) => Number.isInteger(port) && port > 0 && port <= 65_535))
    return undefined;
  return { own: to, ownPort: toPort, peer: from, peerPort: fromPort };
}

/** Without a zone, and IPv4 as such where a listener for both families wrote it as IPv6. */
function plain(address: string | undefined): string {
  return (address ?? '').replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/, '');
}
