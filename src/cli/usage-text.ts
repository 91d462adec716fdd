/** Misuse of the command line in the form that every other error has. The parser's own wording, our frame. */
import { text_en } from '@stricli/core';
import { describeError } from '../base/error.ts';
import { printable } from './table.ts';

const HELP = 'the command with --help shows what it takes; a value with blanks needs quotes';

function usage(message: string): string {
  return `postern: ${printable(message)} [usage]\n  hint: ${HELP}`;
}

export const usageText = {
  noCommandRegisteredForInput: (given: { input: string; corrections: readonly string[] }): string =>
    usage(text_en.noCommandRegisteredForInput({ ...given, ansiColor: false })),
  exceptionWhileParsingArguments(error: unknown): string {
    return usage(text_en.exceptionWhileParsingArguments.call({}, error, false));
  },
  /** Nothing that an administrator could have done better: what follows is for the report. */
  exceptionWhileRunningCommand: (error: unknown): string =>
    [
      `postern: ${printable(describeError(error))} [internal]`,
      '  hint: this should not be possible: please report it, with these lines',
      error instanceof Error ? (error.stack ?? '') : '',
    ].join('\n'),
};
