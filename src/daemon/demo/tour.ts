/** The demo's steps, in the order an administrator would take them. What each step expects is checked where it is asked. */
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EdgeStatus, HubStatus, VerifyDocument } from '../../admin/documents.ts';
import type { Clock } from '../../base/clock.ts';
import { PosternError } from '../../base/error.ts';
import { measureChanges, ROUNDS } from './changes.ts';
import { commandLine, type CommandOutcome, runCommand } from './command.ts';
import type { DaemonProcess } from './daemon-process.ts';
import { MailServer } from './mail-server.ts';
import type { Narrator } from './narrator.ts';
import type { Organisation } from './organisation.ts';
import { DEMO_DOMAINS } from './population.ts';
import { type Answer, type Answered, sampleAddresses, tourQuestions, wrongAnswers } from './questions.ts';
import { type Bulk, completeReport, type DemoReport } from './report.ts';
import type { DemoHost, DemoSite } from './site.ts';
import { count, duration, perSecond } from './wording.ts';

const FILE = 'edge1.xml';
const HUB_KEY = 'hub1.pub';
/** Of so many people, at most, every address is asked for. */
const MOST_ASKED = 20_000;

export interface TourOptions {
  readonly site: DemoSite;
  readonly organisation: Organisation;
  readonly edge: DaemonProcess;
  readonly hub: DaemonProcess;
  readonly people: number;
  readonly addresses: number;
  readonly narrator: Narrator;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Standard error is a terminal. */
  readonly terminal: boolean;
}

/** Rejects with `sync.mismatch` when an answer is not the expected one, `refused` when a command fails, `canceled`. */
export async function runTour(options: TourOptions): Promise<DemoReport> {
  const { site, narrator, clock, people } = options;
  const started = clock.monotonic();
  using mailServer = await MailServer.connect(site.ports, clock);
  using _stop = disposeOnAbort(mailServer, options.signal);

  await subscribe(options, mailServer);
  const loadMs = await load(options, mailServer);
  const questions = await askQuestions(options, mailServer);
  const bulk = await askEverybody(options, mailServer);
  const changes = await change(options, mailServer);
  const verify = await verifyContents(options);
  const status = await showStatus(options);

  const report = completeReport({
    recipients: people,
    addresses: options.addresses,
    loadMs,
    questions,
    bulk,
    changes,
    verify,
    status,
    durationMs: clock.monotonic() - started,
  });
  narrator.heading('All answers were as expected.');
  for (const line of summary(report)) narrator.done(line);
  return report;
}

async function subscribe(options: TourOptions, mailServer: MailServer): Promise<void> {
  const { site, narrator } = options;
  narrator.heading('Accepted domains', 'The hub is told once which domains are ours.');
  for (const { domain, kind, recipientDelimiter } of DEMO_DOMAINS) {
    const words = ['domain', 'add', domain];
    if (kind !== 'authoritative') words.push('--kind', kind);
    if (recipientDelimiter !== '') words.push('--recipient-delimiter', recipientDelimiter);
    await show(options, site.hub, words);
  }

  narrator.heading('Subscription', 'One file from the edge, imported on a hub, sets up the trust.');
  await expectLater(mailServer, narrator);
  const key = await show(options, site.hub, ['hub', 'key'], { into: HUB_KEY });
  await writeFile(join(site.edge.folder, HUB_KEY), key.stdout);
  narrator.done(`${HUB_KEY} is carried to ${site.edge.name}; it is no secret`);
  await show(options, site.edge, ['subscription', 'create', FILE, '--seal-to', HUB_KEY], { lines: 2 });
  await rename(join(site.edge.folder, FILE), join(site.hub.folder, FILE));
  narrator.done(`${FILE} is carried to ${site.hub.name}`);
  await show(options, site.hub, ['subscription', 'inspect', FILE]);
}

/** Never "unknown" before everything is there: that would be a bounce. */
async function expectLater(mailServer: MailServer, narrator: Narrator): Promise<void> {
  const [question] = tourQuestions();
  if (question === undefined) return;
  const { ms, ...answer } = await mailServer.ask('recipients', question.asked);
  requireRight([
    {
      question: { ...question, expected: 'later', searches: [] },
      socketmap: { ...answer, ms },
      ldap: undefined,
    },
  ]);
  narrator.done(`before the load nobody is refused: ${answer.text}`);
}

async function load(options: TourOptions, mailServer: MailServer): Promise<number> {
  const { site, narrator, people } = options;
  const { fingerprint } = await options.edge.control.call<EdgeStatus>('GET', '/v1/status');
  const loading = watchLoad(options, mailServer);
  loading.catch(() => undefined);
  await show(options, site.hub, ['subscription', 'import', FILE, '--expect-fingerprint', fingerprint]);
  narrator.heading('First load', 'Pushed by the hub to the edge: hashed, over LDAPS, keys pinned.');
  await show(options, site.hub, ['sync', 'run'], { terminal: options.terminal });
  const ms = await loading;
  narrator.done(
    `${count(people)} recipients were on the edge, durably, after ${duration(ms)} (${perSecond(people, ms)})`,
  );
  return ms;
}

/** From the moment the edge knows its domains to the moment it dares to say "unknown". */
async function watchLoad({ clock, signal }: TourOptions, mailServer: MailServer): Promise<number> {
  const until = async (map: 'domains' | 'recipients', key: string): Promise<number> => {
    for (;;) {
      const { verdict } = await mailServer.ask(map, key);
      if (verdict !== 'later') return clock.monotonic();
      await clock.sleep('demo.load', 1, signal);
    }
  };
  const start = await until('domains', 'example.org');
  return (await until('recipients', 'nobody@example.org')) - start;
}

async function askQuestions({ narrator }: TourOptions, mailServer: MailServer): Promise<Answered[]> {
  narrator.heading('Questions', 'As a mail server asks, by socketmap and by LDAP.');
  // The first round warms up both sides.
  for (const question of tourQuestions()) await mailServer.answer(question);
  const answered: Answered[] = [];
  for (const question of tourQuestions()) answered.push(await mailServer.answer(question));
  const wrong = new Set(answered.filter((one) => wrongAnswers([one]).length > 0));
  narrator.table(
    ['  asked', 'expected', 'socketmap', 'ms', 'LDAP', 'ms'],
    answered
      .filter(({ question }) => question.map === 'recipients')
      .map((one) => [
        `${wrong.has(one) ? '✗' : '✓'} ${one.question.asked}`,
        `${one.question.expected}: ${one.question.what}`,
        ...cells(one.socketmap, one.question.expected),
        ...cells(one.ldap, one.question.expected),
      ]),
  );
  for (const { question, socketmap, ldap } of answered.filter((one) => one.question.map === 'domains'))
    narrator.done(`domain ${question.asked}: ${socketmap.text} (socketmap), ${ldap?.text ?? '-'} (LDAP)`);
  requireRight(answered);
  return answered;
}

function cells(answer: Answer | undefined, expected: string): [string, string] {
  if (answer === undefined) return ['-', ''];
  return [`${answer.verdict === expected ? '' : '✗ '}${answer.text}`, answer.ms.toFixed(1)];
}

async function askEverybody(
  options: TourOptions,
  mailServer: MailServer,
): Promise<{ known: Bulk; unknown: Bulk }> {
  const { narrator, people } = options;
  const somebody = sampleAddresses(people, MOST_ASKED);
  const nobody = somebody.map((address) => `not.${address}`).filter((a) => !a.endsWith('@example.net'));
  const bulk = async (addresses: readonly string[], expected: 'known' | 'unknown'): Promise<Bulk> => {
    const socketmap = await mailServer.askMany('ask', addresses, expected);
    const ldap = await mailServer.askMany('search', addresses, expected);
    for (const [front, { wrong }] of [
      ['socketmap', socketmap],
      ['LDAP', ldap],
    ] as const) {
      if (wrong.length === 0) continue;
      throw new PosternError(
        'sync.mismatch',
        `${wrong.length} of ${addresses.length} addresses are not ${expected} over ${front}, for example ${wrong.slice(0, 3).join(', ')}`,
      );
    }
    return { asked: addresses.length, socketmapMs: socketmap.ms, ldapMs: ldap.ms };
  };
  const known = await bulk(somebody, 'known');
  const unknown = await bulk(nobody, 'unknown');
  const rate = (ms: (one: Bulk) => number): string =>
    perSecond(known.asked + unknown.asked, ms(known) + ms(unknown));
  const which = known.asked === options.addresses ? 'all' : 'of everybody’s,';
  narrator.done(
    `${which} ${count(known.asked)} addresses are known, and ${count(unknown.asked)} similar ones are not`,
  );
  narrator.done(
    `over one connection each: ${rate((one) => one.socketmapMs)} by socketmap, ${rate((one) => one.ldapMs)} by LDAP`,
  );
  return { known, unknown };
}

async function change(options: TourOptions, mailServer: MailServer): Promise<DemoReport['changes']> {
  const { narrator } = options;
  narrator.heading('Changes', `In the directory, ${ROUNDS} of each; how long until the edge answers anew?`);
  const changes = await measureChanges({ ...options, mailServer });
  narrator.table(
    ['in the directory', 'at the edge', 'median', 'slowest'],
    changes.map(({ what, answer, medianMs, slowestMs }) => [
      what,
      answer,
      `${medianMs.toFixed(1)} ms`,
      `${slowestMs.toFixed(1)} ms`,
    ]),
  );
  return changes;
}

async function verifyContents(options: TourOptions): Promise<VerifyDocument[]> {
  const { site, narrator, hub } = options;
  narrator.heading('Verify', 'Proves by content, not by cookie, that the edge holds what it should.');
  await show(options, site.hub, ['sync', 'verify']);
  return hub.control.call<VerifyDocument[]>('POST', '/v1/sync/verify', { source: false, maxReport: 10 });
}

async function showStatus(options: TourOptions): Promise<{ edge: EdgeStatus; hub: HubStatus }> {
  const { site, narrator, edge, hub } = options;
  narrator.heading('Status', 'What runs, how old its data are, what is wrong.');
  await show(options, site.edge, ['status']);
  await show(options, site.hub, ['status']);
  return {
    edge: await edge.control.call<EdgeStatus>('GET', '/v1/status'),
    hub: await hub.control.call<HubStatus>('GET', '/v1/status'),
  };
}

/** Shows a command, runs it, and shows what it printed. Any exit code but 0 is a failure of the demo. */
async function show(
  { narrator, clock, signal }: TourOptions,
  host: DemoHost,
  words: readonly string[],
  how: { terminal?: boolean; lines?: number; into?: string } = {},
): Promise<CommandOutcome> {
  narrator.prompt(host.name, commandLine(words) + (how.into === undefined ? '' : ` > ${how.into}`));
  const outcome = await runCommand(host, words, { clock, signal, ...how });
  const printed = outcome.stdout.trimEnd().split('\n');
  const most = how.lines ?? printed.length;
  if (how.into === undefined) narrator.output(printed.slice(0, most).join('\n'));
  if (printed.length > most) narrator.note(`… ${printed.length - most} more lines; the hub shows them below`);
  if (outcome.stderr !== '') narrator.output(outcome.stderr);
  if (outcome.exitCode !== 0)
    throw new PosternError(
      'refused',
      `${commandLine(words)} on ${host.name} exited with ${outcome.exitCode}`,
    );
  return outcome;
}

function requireRight(answered: readonly Answered[]): void {
  const wrong = wrongAnswers(answered);
  if (wrong.length > 0)
    throw new PosternError(
      'sync.mismatch',
      `${wrong.length} wrong ${wrong.length === 1 ? 'answer' : 'answers'}: ${wrong.join('; ')}`,
    );
}

function disposeOnAbort(resource: Disposable, signal: AbortSignal): Disposable {
  const dispose = (): void => resource[Symbol.dispose]();
  signal.addEventListener('abort', dispose, { once: true });
  return { [Symbol.dispose]: () => signal.removeEventListener('abort', dispose) };
}

function summary(report: DemoReport): string[] {
  const figure = (name: string): number =>
    report.figures.find((one) => one.name === name)?.value ?? Number.NaN;
  return [
    `one file joined edge and hub: keys pinned on both sides, no CA`,
    `${count(report.recipients)} recipients were loaded in ${duration(report.loadMs)}, and proved equal by content`,
    `${report.questions.length} questions and ${count(2 * (report.bulk.known.asked + report.bulk.unknown.asked))} look-ups answered as expected`,
    `a change in the directory shows in the edge’s answers after ${figure('change-to-answer-median-ms').toFixed(1)} ms`,
  ];
}
