/** A reconciler on one side of a `startCharonPair`, as the daemon would run it, and the steps it took. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import { systemFiles } from '../../src/base/files.ts';
import { type Log, silentLog } from '../../src/base/log.ts';
import { systemRandom } from '../../src/base/random.ts';
import { xfrmKernel } from '../../src/ipsec/charon/kernel.ts';
import { Reconciler, type ReconcilerOptions } from '../../src/ipsec/charon/reconciler.ts';
import { readServiceNames } from '../../src/ipsec/charon/selector-text.ts';
import { runProgram } from '../../src/ipsec/run-program.ts';
import type { Charon } from './charon.ts';
import { until } from './until.ts';

export class Reconciled implements AsyncDisposable {
  readonly reconciler: Reconciler;
  /** What was logged at `info` and above: each step in words. */
  readonly lines: string[] = [];
  /** Packets in clear text, as a guard would count them. */
  clearPackets = 0;

  private constructor(charon: Charon, more: Partial<ReconcilerOptions>) {
    const note = (message: string): void => void this.lines.push(message);
    const log: Log = { ...silentLog, info: note, warn: note, error: note };
    this.reconciler = new Reconciler({
      viciPath: charon.viciPath,
      memoryPath: join(charon.folder, 'memory.json'),
      kernel: xfrmKernel((program, args) => {
        const [first, ...rest] = charon.namespace.enter(program, ...args);
        return runProgram(first, rest);
      }),
      serviceNames: readServiceNames(readFileSync('/etc/services', 'utf8')),
      files: systemFiles,
      clock: systemClock,
      random: systemRandom,
      log,
      beforeLoading: () => Promise.resolve(),
      clearText: () => Promise.resolve(this.clearPackets),
      ...more,
    });
  }

  /** Connected, with nothing desired yet. */
  static async start(charon: Charon, more: Partial<ReconcilerOptions> = {}): Promise<Reconciled> {
    const made = new Reconciled(charon, more);
    await made.reconciler.start();
    await made.up();
    return made;
  }

  async up(): Promise<void> {
    await until('charon answers', () => this.reconciler.session.up, Boolean);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.reconciler.stop();
  }
}
