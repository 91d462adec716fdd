/** Drives the guard's script: which mechanism this kernel has, and what the script says. Programs are run by what is handed in. */
import { join } from 'node:path';
import { PosternError } from '../../base/error.ts';
import type { RunProgram } from '../run-program.ts';
import { renderNft } from './render-nft.ts';
import { GUARD_SCRIPT, type GuardMechanism } from './script.ts';
import type { GuardScope } from './scope.ts';

/** nft wherever this kernel takes the guard's rules. Throws `ipsec.guard` when the one that was asked for is not there. */
export async function chooseMechanism(
  run: RunProgram,
  wanted: 'auto' | 'nft' | 'xfrm',
  scope: GuardScope,
): Promise<GuardMechanism> {
  if (wanted === 'xfrm') return 'xfrm';
  const { code, stderr } = await run(
    'nft',
    ['--check', '-f', '-'],
    `table inet postern_probe\ndelete table inet postern_probe\n${renderNft(scope)}`,
  );
  if (code === 0) return 'nft';
  if (wanted === 'nft')
    throw new PosternError(
      'ipsec.guard',
      `this kernel or its nft does not take the guard: ${firstLine(stderr)}`,
      {
        hint: 'install nftables 1.0 or newer and run as root, or let the guard be XFRM policies: mechanism = "xfrm" below [guard]',
      },
    );
  return 'xfrm';
}

export type GuardState = 'ok' | 'missing' | 'altered';

/** `folder`: where the script stands. Throws `ipsec.guard`. */
export class Guard {
  readonly #run: RunProgram;
  readonly #script: string;

  constructor(run: RunProgram, folder: string) {
    this.#run = run;
    this.#script = join(folder, GUARD_SCRIPT);
  }

  async load(): Promise<void> {
    await this.#call('load');
  }

  async check(): Promise<GuardState> {
    const { stdout, stderr } = await this.#run('/bin/sh', [this.#script, 'check']);
    const state = stdout.trim();
    if (state === 'ok' || state === 'missing' || state === 'altered') return state;
    throw this.#failure('check', stderr);
  }

  /** Puts it back when it is not there as it should be; true when it was not. */
  async mend(): Promise<boolean> {
    return (await this.#call('mend')) !== '';
  }

  async remove(): Promise<void> {
    await this.#call('remove');
  }

  /** Packets since it was loaded, by the names of `GUARD_COUNTERS`. Without nft, of the whole machine's XFRM blocks. */
  async counters(): Promise<Readonly<Record<string, number>>> {
    const lines = (await this.#call('counters')).split('\n').filter((line) => line !== '');
    return Object.fromEntries(lines.map((line) => [line.split(' ')[0] ?? '', Number(line.split(' ')[1])]));
  }

  async #call(verb: string): Promise<string> {
    const { code, stdout, stderr } = await this.#run('/bin/sh', [this.#script, verb]);
    if (code !== 0) throw this.#failure(verb, stderr);
    return stdout.trim();
  }

  #failure(verb: string, stderr: string): PosternError {
    return new PosternError(
      'ipsec.guard',
      `the guard does not ${verb}: ${firstLine(stderr) || 'no reason given'}`,
      {
        hint: 'run as root; "postern ipsec check" says what is in the kernel now',
        fields: { script: this.#script },
      },
    );
  }
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? '';
}
