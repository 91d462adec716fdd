/**
 * `postern demo`: an organisation's directory, a hub and an edge on this machine, and a tour of what they do together. Wires
 * them; the steps are in `demo/tour.ts`. Everything is in one temporary folder and ends with the demo, however that ends.
 */
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { describeError, isPosternError, PosternError } from '../base/error.ts';
import { silentLog } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { FEWEST_PEOPLE } from './demo/changes.ts';
import { DaemonProcess } from './demo/daemon-process.ts';
import type { Narrator } from './demo/narrator.ts';
import { ADMIN, Organisation, PEOPLE } from './demo/organisation.ts';
import { count } from './demo/wording.ts';
import { demoPerson } from './demo/population.ts';
import type { DemoReport } from './demo/report.ts';
import { createSite, type DemoHost, type DemoSite } from './demo/site.ts';
import { runTour } from './demo/tour.ts';

export type { Narrator } from './demo/narrator.ts';
export type { DemoReport } from './demo/report.ts';

const MOST_PEOPLE = 1_000_000;
/** Lines of the daemons' logs that are shown when something went wrong. */
const LOG_LINES = 15;

export interface DemoOptions {
  readonly recipients: number;
  /** Ends after the tour; otherwise everything stays up until `signal`. */
  readonly once: boolean;
  readonly narrator: Narrator;
  /** Called after the tour. */
  readonly onReport: (report: DemoReport) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
  /** Standard error is a terminal: a progress bar may be drawn there. */
  readonly terminal: boolean;
}

/** Rejects with `usage`, with `canceled` when `signal` came during the tour, with what a step found wrong, or with what failed. */
export async function runDemo(options: DemoOptions): Promise<void> {
  const { recipients: people, narrator, signal } = options;
  if (!Number.isInteger(people) || people < FEWEST_PEOPLE || people > MOST_PEOPLE) {
    throw new PosternError('usage', `cannot show ${people} recipients`, {
      hint: `choose ${FEWEST_PEOPLE} to ${MOST_PEOPLE}`,
    });
  }
  await using site = await createSite();
  await using parts = new AsyncDisposableStack();
  const daemons: DaemonProcess[] = [];
  try {
    const { organisation, addresses } = await startOrganisation(options, site, parts);
    await site.configureHub({ url: organisation.url, password: organisation.readerPassword });
    const [edge, hub] = await startDaemons(options, site, parts, daemons);
    const report = await runTour({ ...options, site, organisation, edge, hub, people, addresses });
    options.onReport(report);
    if (options.once) return;
    invite(narrator, site, organisation);
    await untilEnd(signal, daemons);
  } catch (error) {
    if (signal.aborted) throw new PosternError('canceled', 'the demo was interrupted', { cause: error });
    for (const daemon of daemons) {
      narrator.note(`the end of the ${daemon.role}’s log:`);
      narrator.output(daemon.output.trimEnd().split('\n').slice(-LOG_LINES).join('\n'));
    }
    throw isPosternError(error)
      ? error
      : new PosternError('internal', describeError(error), { cause: error });
  }
}

async function startOrganisation(
  { recipients: people, narrator, clock, random, signal }: DemoOptions,
  site: DemoSite,
  parts: AsyncDisposableStack,
): Promise<{ organisation: Organisation; addresses: number }> {
  narrator.heading('Start', 'A directory and a hub inside, an edge outside: all on this machine.');
  const folder = join(site.folder, 'organisation');
  const organisation = parts.use(
    await Organisation.start({ folder, people, clock, random, log: silentLog, signal }),
  );
  let addresses = 0;
  for (let n = 0; n < people; n++) addresses += demoPerson(n).addresses.length;
  narrator.done(`directory  ${organisation.url}: ${count(people)} people, ${count(addresses)} addresses`);
  return { organisation, addresses };
}

async function startDaemons(
  { narrator, clock, signal }: DemoOptions,
  site: DemoSite,
  parts: AsyncDisposableStack,
  daemons: DaemonProcess[],
): Promise<[edge: DaemonProcess, hub: DaemonProcess]> {
  const start = async ({ role, configFile, data }: DemoHost): Promise<DaemonProcess> => {
    const { environment } = site;
    const daemon = await DaemonProcess.start({ role, configFile, data, environment, clock, signal });
    daemons.push(daemon);
    parts.defer(async () => void (await daemon.stop(clock)));
    return daemon;
  };
  const edge = await start(site.edge);
  const { ldaps, ldap, socketmap } = site.ports;
  narrator.done(`edge1      LDAPS ${ldaps} for hubs; LDAP ${ldap} and socketmap ${socketmap} for mail`);
  const hub = await start(site.hub);
  narrator.done(`hub1       listens to nobody; connects to the directory and to edge1`);
  return [edge, hub];
}

function invite(narrator: Narrator, site: DemoSite, organisation: Organisation): void {
  const [address = ''] = demoPerson(0).addresses;
  const { ldap, socketmap } = site.ports;
  const request = `recipients ${address}`;
  const { uid } = demoPerson(0);
  const password = organisation.adminPassword.revealText();
  narrator.recipes('Everything goes on running. In another terminal:', [
    ['what there is: two hosts, each with its configuration and its postern', `cd ${site.folder} && ls *`],
    ['what a mail server would be told, and why', `edge1/postern lookup ${address}`],
    ['ask as Postfix does', `printf '${request.length}:${request},' | nc -q1 127.0.0.1 ${socketmap}`],
    [
      'the same over LDAP',
      `ldapsearch -xLLL -H ldap://127.0.0.1:${ldap} -b cn=Recipients \\\n  '(mail=${address})' posternResult`,
    ],
    [
      'take this person out of the directory, and ask again',
      `ldapdelete -x -H ${organisation.url} -D ${ADMIN} \\\n  -w ${password} uid=${uid},${PEOPLE}`,
    ],
    ['reread the directory and compare every entry', 'hub1/postern sync verify --source'],
  ]);
  narrator.note('Ctrl-C ends it and leaves nothing behind.');
}

/** Until the administrator ends it; rejects when a daemon ends first. */
async function untilEnd(signal: AbortSignal, daemons: readonly DaemonProcess[]): Promise<void> {
  const aborted = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await Promise.race([
    aborted,
    ...daemons.map(async (daemon) => {
      const exit = await daemon.ended;
      if (!signal.aborted) throw new PosternError('internal', `the ${daemon.role} daemon ended (${exit})`);
    }),
  ]);
}
