/** `postern demo`: an edge is subscribed, filled, asked and changed on this machine, without any set-up. */
import { buildCommand } from '@stricli/core';
import { isPosternError } from '../../base/error.ts';
import { type Context, guarded } from '../context.ts';
import { demoScreen, wantsColour } from '../demo-screen.ts';
import { jsonFlag } from '../flags.ts';

interface Flags {
  readonly recipients: number;
  readonly once: boolean;
  readonly json: boolean;
}

/** As shells report a process ended by SIGINT. */
const INTERRUPTED = 130;

export const demoCommand = buildCommand({
  docs: {
    brief: 'Show everything on this machine: subscription, load, questions, changes',
    fullDescription:
      'Starts an organisation directory, a hub and an edge on loopback ports and in a temporary folder, shows what they do together, checks every answer, and stays up for more until Ctrl-C. Exits with 1 when an answer is not the expected one.',
  },
  parameters: {
    flags: {
      recipients: { kind: 'parsed', parse: Number, default: '10000', brief: 'How many people there are' },
      once: { kind: 'boolean', default: false, brief: 'End after the tour' },
      json: jsonFlag,
    },
    aliases: { j: 'json' },
  },
  func(this: Context, flags: Flags) {
    return guarded(this, async () => {
      const { runDemo } = await import('../../daemon/demo.ts');
      const { stdout, stderr } = this.process;
      const screen = flags.json ? stderr : stdout;
      const hangUp = new AbortController();
      process.once('SIGHUP', () => hangUp.abort('SIGHUP'));
      // Whoever reads along may stop reading: that ends the demo, too.
      for (const stream of [process.stdout, process.stderr])
        stream.on('error', (error) => hangUp.abort(error));
      // A second Ctrl-C must not keep the first from cleaning up.
      for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => undefined);
      const signal = AbortSignal.any([this.signal, hangUp.signal]);
      try {
        await runDemo({
          recipients: flags.recipients,
          once: flags.once,
          narrator: demoScreen(screen, wantsColour(screen, this.env)),
          onReport: (report) => {
            if (flags.json) stdout.write(`${JSON.stringify(report)}\n`);
          },
          clock: this.clock,
          random: this.random,
          signal,
          terminal: stderr.isTTY === true,
        });
        return 0;
      } catch (error) {
        if (!isPosternError(error, 'canceled') || !signal.aborted) throw error;
        stderr.write('postern: the demo was interrupted; nothing of it is left\n');
        return INTERRUPTED;
      }
    });
  },
});
