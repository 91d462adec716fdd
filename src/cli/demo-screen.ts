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
  /** The last command printed a screenful: the next one gets some air. */
  let long = false;
  return {
    heading(title, about) {
      long = false;
      line('');
      if (about === undefined) line(paint('heading', title));
      else line(`${paint('heading', `${++step}. ${title}`)}  ${paint('faint', about)}`);
      line('');
    },
    prompt(host, command) {
      if (long) line('');
      long = false;
      line(`${INDENT}${paint('prompt', `${host}$`)} ${paint('heading', command)}`);
    },
    output(text) {
      const lines = text.trimEnd().split('\n');
      for (const one of lines) line(one === '' ? '' : `${INDENT}${one}`);
      long = lines.length > 3;
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
    recipes(title, recipes) {
      line('');
      line(paint('heading', title));
      line('');
      for (const [what, command] of recipes) {
        line(`${INDENT}${paint('faint', `# ${what}`)}`);
        for (const one of command.split('\n')) line(`${INDENT}${one}`);
      }
      line('');
    },
  };
}
