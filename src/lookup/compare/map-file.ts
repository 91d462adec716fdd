/** The source of a Postfix table of recipients (postmap(1)): whoever stands in it is accepted today, whatever the value. */
import type { Expectation, ExpectationReader } from './expectation.ts';

/** Asked in place of a whole domain (`@example.org`): somebody whom no directory has. */
const ANYBODY = 'postern-compare-anybody';
const LONGEST_KEY = 512;

export class MapFileReader implements ExpectationReader {
  skipped = 0;

  take(line: string, number: number): readonly Expectation[] {
    // A line that begins with white space continues the one before it, which has begun with the key.
    if (line.trim() === '' || /^[\s#]/.test(line)) return [];
    const key = keyOf(line);
    const at = key.lastIndexOf('@');
    if (at < 0 || at === key.length - 1 || key.length > LONGEST_KEY) {
      this.skipped++;
      return [];
    }
    const address = at === 0 ? `${ANYBODY}${key}` : key;
    return [{ address, expected: 'known', line: number }];
  }

  end(): readonly Expectation[] {
    return [];
  }
}

/** postmap(1): the key ends at white space, unless it is quoted as an address is: "a b"@example.org. */
function keyOf(line: string): string {
  const quoted = /^"(?:[^"\\]|\\.){0,256}"[^\s]*/.exec(line);
  return quoted?.[0] ?? line.split(/\s/, 1)[0] ?? '';
}
