/** What a process has cost so far, as the kernel counts it. Linux. */
import { readdir, readFile } from 'node:fs/promises';

/** CPU time of all threads, milliseconds (the kernel counts nanoseconds). */
export async function cpuMs(pid: number): Promise<number> {
  let sum = 0;
  for (const task of await readdir(`/proc/${pid}/task`)) {
    const text = await readFile(`/proc/${pid}/task/${task}/schedstat`, 'utf8').catch(() => '0');
    sum += Number(text.split(' ')[0]) / 1e6;
  }
  return sum;
}

export interface MemoryUse {
  /** Largest resident set so far, MiB. */
  readonly peakMib: number;
  readonly nowMib: number;
}

export async function memoryUse(pid: number): Promise<MemoryUse> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const mib = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024;
  return { peakMib: mib('VmHWM'), nowMib: mib('VmRSS') };
}
