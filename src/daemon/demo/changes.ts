/** From a change in the organisation's directory to another answer at the edge, in milliseconds. */
import type { Clock } from '../../base/clock.ts';
import { PosternError } from '../../base/error.ts';
import type { MailServer } from './mail-server.ts';
import type { Organisation } from './organisation.ts';
import { demoPerson } from './population.ts';
import { median, newcomer, type Verdict } from './questions.ts';

const GIVE_UP_MS = 15_000;
/** Of each kind of change. */
export const ROUNDS = 5;
/** Fewer people than this, and the removal guard would rightly hold back what the tour deletes. */
export const FEWEST_PEOPLE = 100;

export interface ChangeFigure {
  readonly id: string;
  readonly what: string;
  readonly answer: string;
  readonly count: number;
  readonly medianMs: number;
  readonly slowestMs: number;
}

interface ChangeKind {
  readonly id: string;
  readonly what: string;
  readonly answer: string;
  /** Makes change number `n`; the addresses' answers must become these. */
  prepare(n: number): { change: () => Promise<void>; becomes: ReadonlyMap<string, Verdict> };
}

/** Makes `ROUNDS` changes of each kind, one after the other, and measures each. Rejects with `sync.mismatch` when an answer does not change. */
export async function measureChanges(options: {
  readonly organisation: Organisation;
  readonly mailServer: MailServer;
  readonly people: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}): Promise<ChangeFigure[]> {
  const { organisation, people } = options;
  const figures: ChangeFigure[] = [];
  for (const kind of changeKinds(organisation, people)) {
    const times: number[] = [];
    for (let n = 0; n < ROUNDS; n++) {
      const { change, becomes } = kind.prepare(n);
      times.push(await measure(kind.what, change, becomes, options));
    }
    const { id, what, answer } = kind;
    figures.push({
      id,
      what,
      answer,
      count: times.length,
      medianMs: median(times),
      slowestMs: Math.max(...times),
    });
  }
  return figures;
}

function changeKinds(organisation: Organisation, people: number): ChangeKind[] {
  // People of the population's end, where the tour's questions do not ask.
  const somebody = (n: number) => demoPerson(people - 1 - n);
  return [
    {
      id: 'add',
      what: 'a person is added',
      answer: 'unknown → known',
      prepare(n) {
        const person = newcomer(people, n);
        return { change: () => organisation.addPerson(person), becomes: all(person.addresses, 'known') };
      },
    },
    {
      id: 'alias',
      what: 'a person gets an alias',
      answer: 'unknown → known',
      prepare(n) {
        const person = newcomer(people, n);
        const alias = `colleague.${people + n}@example.com`;
        return {
          change: () => organisation.setAddresses(person, [...person.addresses, alias]),
          becomes: all([alias], 'known'),
        };
      },
    },
    {
      id: 'rename',
      what: 'an address changes',
      answer: 'new: known, old: unknown',
      prepare(n) {
        const person = somebody(n);
        const address = `renamed.${people + n}@example.org`;
        return {
          change: () => organisation.setAddresses(person, [address]),
          becomes: new Map([...all(authoritative(person.addresses), 'unknown'), [address, 'known']]),
        };
      },
    },
    {
      id: 'delete',
      what: 'a person is deleted',
      answer: 'known → unknown',
      prepare(n) {
        const person = somebody(ROUNDS + n);
        return {
          change: () => organisation.removePerson(person),
          becomes: all(authoritative(person.addresses), 'unknown'),
        };
      },
    },
  ];
}

function all(addresses: readonly string[], verdict: Verdict): Map<string, Verdict> {
  return new Map(addresses.map((address) => [address, verdict]));
}

/** In the relay domain every address is accepted, so its answers never change. */
function authoritative(addresses: readonly string[]): string[] {
  return addresses.filter((address) => !address.endsWith('@example.net'));
}

/** From before the change is sent to the last of the answers that change; asked again and again, without a pause. */
async function measure(
  what: string,
  change: () => Promise<void>,
  becomes: ReadonlyMap<string, Verdict>,
  { mailServer, clock, signal }: { mailServer: MailServer; clock: Clock; signal: AbortSignal },
): Promise<number> {
  for (const [address, verdict] of becomes) {
    const before = await mailServer.ask('recipients', address);
    if (before.verdict === verdict)
      throw mismatch(`${address} is ${verdict} before ${what}: the change would show nothing`);
  }
  const start = clock.monotonic();
  const changed = change();
  changed.catch(() => undefined);
  for (const [address, verdict] of becomes) {
    for (;;) {
      const { verdict: now, text } = await mailServer.ask('recipients', address);
      if (now === verdict) break;
      signal.throwIfAborted();
      if (clock.monotonic() - start > GIVE_UP_MS) {
        await changed;
        throw mismatch(
          `${address}: expected ${verdict} after ${what}, still got "${text}" ${GIVE_UP_MS} ms later`,
        );
      }
    }
  }
  const ms = clock.monotonic() - start;
  await changed;
  return ms;
}

function mismatch(message: string): PosternError {
  return new PosternError('sync.mismatch', message);
}
