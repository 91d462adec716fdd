/** What `swanctl --raw` prints (`list-conn event {name {key=value list=[a b] inner {}}}`), as plain data: the other reader of the same messages. */

export type RawSection = { [key: string]: string | string[] | RawSection };

/** The messages of one command: its events, then its reply. Values are told from the next key by ` key=`, ` key {` and the brackets. */
export function readSwanctlRaw(text: string): { kind: string; message: RawSection }[] {
  return [...text.matchAll(/^(\S+ (?:event|reply)) \{(.*)\}$/gm)].map(([, kind = '', inner = '']) => {
    const reader = new RawReader(inner);
    return { kind, message: reader.section() };
  });
}

class RawReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  section(): RawSection {
    const section: RawSection = {};
    for (;;) {
      this.#take(/ */y);
      const key = this.#take(/[^ ={}]+(?==| \{)/y);
      if (key === undefined) break;
      if (this.#take(/ \{/y) !== undefined) {
        section[key] = this.section();
        this.#take(/\}/y);
      } else if (this.#take(/=\[/y) !== undefined) {
        section[key] = (this.#take(/(?:[^[\]]|\[[^\]]*\])*/y) ?? '').split(' ').filter((item) => item !== '');
        this.#take(/\]/y);
      } else {
        this.#take(/=/y);
        section[key] = this.#take(/.*?(?= [\w.-]+=| \S+ \{|\}|$)/sy) ?? '';
      }
    }
    return section;
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }
}
