/** A log of Postfix: who was delivered to is accepted today, who was refused as unknown is not. The latest word about an address counts. */
import type { Expectation, ExpectationReader } from './expectation.ts';

/** `orig_to` is what was said in RCPT TO when that was rewritten afterwards. */
const SENT = /: to=<([^>]{1,320})>,(?: orig_to=<([^>]{1,320})>,)?.{0,2000}\bstatus=sent\b/;
const REFUSED = /: reject: RCPT from [^:]{0,300}: 550 5\.1\.1 <([^>]{1,320})>/;
const LONGEST_LINE = 16_384;

export class MailLogReader implements ExpectationReader {
  /** Lines about other things are most of a log: not worth counting. */
  readonly skipped = 0;
  readonly #latest = new Map<string, Expectation>();

  take(line: string, number: number): readonly Expectation[] {
    if (line.length > LONGEST_LINE) return [];
    const refused = REFUSED.exec(line)?.[1];
    const sent = refused === undefined ? SENT.exec(line) : null;
    const address = refused ?? sent?.[2] ?? sent?.[1];
    // A bare name is a local user's: no recipient of a relay domain.
    if (address?.includes('@') === true)
      this.#latest.set(address, {
        address,
        expected: refused === undefined ? 'known' : 'unknown',
        line: number,
      });
    return [];
  }

  end(): readonly Expectation[] {
    return [...this.#latest.values()];
  }
}
