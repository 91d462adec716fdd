import { describe, expect, it } from 'vitest';
import { demoScreen, wantsColour } from './demo-screen.ts';

function tell(colour: boolean): string {
  let text = '';
  const screen = demoScreen({ write: (part) => void (text += part) }, colour);
  screen.heading('Start', 'Begins.');
  screen.prompt('edge1', 'postern status');
  screen.output('one\n\ntwo\n');
  screen.done('is there');
  screen.note('plain');
  screen.table(
    ['asked', 'answer'],
    [
      ['a@b.example', '✓ OK 1'],
      ['b', '✗ no entry'],
    ],
  );
  screen.recipes('More:', [
    ['go there', 'cd /tmp'],
    ['look', 'ls \\\n  -l'],
  ]);
  screen.heading('End');
  return text;
}

const PLAIN = `
1. Start  Begins.

  edge1$ postern status
  one

  two
  ✓ is there
  plain
  asked        answer
  a@b.example  ✓ OK 1
  b            ✗ no entry

More:

  # go there
  cd /tmp
  # look
  ls \\
    -l


End

`;

describe('the demo’s screen', () => {
  it('is plain text without colour', () => expect(tell(false)).toBe(PLAIN));

  it('is the same text with colour', () => {
    const coloured = tell(true);
    expect(coloured).toContain('\x1b[1;31m✗ no entry\x1b[0m');
    expect(coloured).toContain('\x1b[1;36medge1$\x1b[0m');
    // oxlint-disable-next-line no-control-regex
    expect(coloured.replace(/\x1b\[[\d;]*m/g, '')).toBe(PLAIN);
  });

  it.each([
    [true, {}, true],
    [false, {}, false],
    [true, { NO_COLOR: '1' }, false],
    [true, { NO_COLOR: '' }, true],
    [true, { TERM: 'dumb' }, false],
  ])('terminal %j with %j: colour %j', (isTTY, env, expected) => {
    expect(wantsColour({ write: () => undefined, isTTY }, env)).toBe(expected);
  });
});
