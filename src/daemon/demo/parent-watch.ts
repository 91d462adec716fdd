/**
 * Loaded before the daemon in processes that the demo and the tests start (`node --import`): ends the process when the one that
 * started it is gone, however that ended. Standard input is a pipe from it that nobody writes to.
 */
import { systemClock } from '../../base/clock.ts';

const END_WITHIN_MS = 10_000;

function end(): void {
  process.kill(process.pid, 'SIGTERM');
  systemClock.after('demo.orphan', END_WITHIN_MS, () => process.kill(process.pid, 'SIGKILL'), {
    background: true,
  });
}

process.stdin.once('end', end).on('error', end).resume();
// Waiting for the end of the input keeps no process alive.
(process.stdin as Partial<{ unref(): void }>).unref?.();
