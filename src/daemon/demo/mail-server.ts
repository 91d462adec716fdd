/** The demo's stand-in for a mail server on the edge's host: asks by socketmap and by LDAP, and knows nothing else of the edge. */
import type { Clock } from '../../base/clock.ts';
import { resultCodeOf } from '../../ldap/client-error.ts';
import { connectLdap, type LdapClient } from '../../ldap/client.ts';
import { RESULT_CODE, resultName } from '../../ldap/result-code.ts';
import { type Answer, type Answered, type Question, socketmapVerdict } from './questions.ts';
import { SocketmapClient } from './socketmap-client.ts';

const ANSWER_WITHIN_MS = 30_000;
/** Questions on their way at a time, when many are asked. */
const WINDOW = 200;
const WHERE = {
  recipients: { base: 'cn=Recipients', attribute: 'mail', returned: 'posternResult' },
  domains: { base: 'cn=AcceptedDomains,cn=Configuration', attribute: 'cn', returned: 'posternDomainKind' },
} as const;

export class MailServer implements Disposable {
  readonly #socketmap: SocketmapClient;
  readonly #ldap: LdapClient;
  readonly #clock: Clock;

  private constructor(socketmap: SocketmapClient, ldap: LdapClient, clock: Clock) {
    this.#socketmap = socketmap;
    this.#ldap = ldap;
    this.#clock = clock;
  }

  static async connect(ports: { socketmap: number; ldap: number }, clock: Clock): Promise<MailServer> {
    const socketmap = await SocketmapClient.connect(ports.socketmap);
    try {
      const target = `ldap://127.0.0.1:${ports.ldap}`;
      const ldap = await connectLdap({ target, clock, operationTimeoutMs: ANSWER_WITHIN_MS });
      return new MailServer(socketmap, ldap, clock);
    } catch (error) {
      socketmap[Symbol.dispose]();
      throw error;
    }
  }

  /** By socketmap. */
  async ask(map: Question['map'], key: string): Promise<Answer> {
    const start = this.#clock.monotonic();
    const reply = await this.#socketmap.ask(map, key);
    return {
      verdict: socketmapVerdict(reply),
      text: reply.trim().slice(0, 60),
      ms: this.#clock.monotonic() - start,
    };
  }

  /** By LDAP. */
  async search(map: Question['map'], key: string): Promise<Answer> {
    const { base, attribute, returned } = WHERE[map];
    const start = this.#clock.monotonic();
    const answer = (verdict: Answer['verdict'], text: string): Answer => ({
      verdict,
      text: text.slice(0, 60),
      ms: this.#clock.monotonic() - start,
    });
    try {
      const stream = this.#ldap.search({
        base,
        filter: { kind: 'equality', attribute, value: Buffer.from(key) },
        attributes: [returned],
      });
      let found: string | undefined;
      for await (const { operation } of stream)
        if (operation.op === 'searchResultEntry')
          found = String(operation.attributes[0]?.values[0] ?? 'entry without values');
      return found === undefined ? answer('unknown', 'none') : answer('known', found);
    } catch (error) {
      const code = resultCodeOf(error);
      if (code === undefined) throw error;
      return answer(code === RESULT_CODE.busy ? 'later' : 'broken', resultName(code));
    }
  }

  async answer(question: Question): Promise<Answered> {
    const socketmap = await this.ask(question.map, question.asked);
    let ldap: Answer | undefined;
    for (const key of question.searches) {
      if (ldap !== undefined && ldap.verdict !== 'unknown') break;
      const next = await this.search(question.map, key);
      ldap = { ...next, ms: next.ms + (ldap?.ms ?? 0) };
    }
    return { question, socketmap, ldap };
  }

  /** Asks many, some at a time; returns those that were answered otherwise, and how long it took in all. */
  async askMany(
    how: 'ask' | 'search',
    addresses: readonly string[],
    expected: Answer['verdict'],
  ): Promise<{ wrong: string[]; ms: number }> {
    const start = this.#clock.monotonic();
    const wrong: string[] = [];
    for (let at = 0; at < addresses.length; at += WINDOW) {
      const some = addresses.slice(at, at + WINDOW);
      const answers = await Promise.all(some.map((address) => this[how]('recipients', address)));
      for (const [i, { verdict }] of answers.entries()) if (verdict !== expected) wrong.push(some[i] ?? '');
    }
    return { wrong, ms: this.#clock.monotonic() - start };
  }

  [Symbol.dispose](): void {
    this.#socketmap[Symbol.dispose]();
    this.#ldap.destroy();
  }
}
