/** The kernel's clock that goes on while the machine sleeps and that no correction moves, and which boot it counts from. proc(5). */
import type { Files } from '../../base/files.ts';
import type { Moment } from './trial-machine.ts';

export async function bootMoment(files: Files): Promise<Moment> {
  const [bootId, uptime] = await Promise.all([
    files.readFile('/proc/sys/kernel/random/boot_id'),
    // CLOCK_BOOTTIME, in hundredths.
    files.readFile('/proc/uptime'),
  ]);
  return {
    bootId: bootId.toString('latin1').trim(),
    seconds: Number(uptime.toString('latin1').split(' ')[0]),
  };
}
