/** How the demo looks in a terminal: headings, prompts, indented output; colour only where it is wanted. */
import type { Narrator } from '../daemon/demo.ts';
import type { Output } from './context.ts';
import { formatTable } from './table.ts';

const INDENT = '  ';

const STYLE = {
  heading: '1',
  prompt: '1;36',
  faint: '2',
  right: '32',
  wrong: '1;31',
} as const;

/** Colour on a terminal, unless NO_COLOR (no-color.org) or TERM=dumb asks for none. */
export function wantsColour(stream: Output, env: Readonly<Record<string, string | undefined>>): boolean {
  return stream.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}

export function demoScreen(stream: Output, colour: boolean): Narrator {
  const paint = (style: keyof typeof STYLE, text: string): string =>
    colour && text !== '' ? `\x1b[${STYLE[style]}m${text}\x1b[0m` : text;
  const line = (text: string): void => stream.write(`${text}\n`);
  const marks = (text: string): string =>
    text
      .replace(/✓[^\S\n]?/g, (mark) => paint('right', mark))
      .replace(/✗ \S+(?: \S+)*/g, (cell) => paint('wrong', cell));
  let step = 0;
  return {
    heading(title, about) {
      line('');
      if (about === undefined) line(paint('heading', title));
      else line(`${paint('heading', `${++step}. ${title}`)}  ${paint('faint', about)}`);
      line('');
    },
    prompt(host, command) {
      line(`${INDENT}${paint('prompt', `${host}$`)} ${paint('heading', command)}`);
    },
    output(text) {
      for (const one of text.trimEnd().split('\n')) line(one === '' ? '' : `${INDENT}${one}`);
    },
    done(text) {
      line(`${INDENT}${marks('✓ ')}${text}`);
    },
    note(text) {
      line(`${INDENT}${text}`);
    },
    table(head, rows) {
      const [first = '', ...rest] = formatTable(head, rows).split('\n');
      line(INDENT + paint('faint', first));
      for (const row of rest) line(INDENT + marks(row));
    },
    recipes(title, lines) {
      line('');
      line(paint('heading', title));
      line('');
      for (const [command, what] of lines) {
        line(`${INDENT}${command}${what === '' ? '' : paint('faint', `   # ${what}`)}`);
      }
      line('');
    },
  };
}
