#!/usr/bin/env node
/** The `postern` command. */
import { buildApplication, buildRouteMap, run, text_en } from '@stricli/core';
import { systemClock } from '../base/clock.ts';
import { systemRandom } from '../base/random.ts';
import { VERSION } from '../base/version.ts';
import { certificateRoutes } from './command/certificate.ts';
import { configRoutes } from './command/config.ts';
import { credentialRoutes } from './command/credential.ts';
import { demoCommand } from './command/demo.ts';
import { directoryRoutes } from './command/directory.ts';
import { domainRoutes } from './command/domain.ts';
import { edgeRoutes } from './command/edge.ts';
import { hubRoutes } from './command/hub.ts';
import { ipsecRoutes } from './command/ipsec.ts';
import { lookupRoutes } from './command/lookup.ts';
import { sourceRoutes } from './command/source.ts';
import { statusCommand } from './command/status.ts';
import { subscriptionRoutes } from './command/subscription.ts';
import { syncRoutes } from './command/sync.ts';
import type { Context } from './context.ts';
import { EXIT } from './exit-code.ts';
import { usageText } from './usage-text.ts';

type Route =
  | 'status'
  | 'lookup'
  | 'subscription'
  | 'credential'
  | 'source'
  | 'sync'
  | 'domain'
  | 'directory'
  | 'config'
  | 'cert'
  | 'edge'
  | 'hub'
  | 'ipsec'
  | 'demo';

const routes = buildRouteMap<Route, Context>({
  docs: {
    brief: 'Keeps the guarded door between a perimeter network and the organisation inside',
    fullDescription: [
      'Without a command: status.',
      '',
      'Exit codes: 0 ok, 1 failed, 2 usage or configuration, 3 degraded, 4 critical, 5 daemon unreachable, 6 not found, 7 refused, 10 a plan has changes.',
    ].join('\n'),
  },
  routes: {
    status: statusCommand,
    lookup: lookupRoutes,
    subscription: subscriptionRoutes,
    credential: credentialRoutes,
    source: sourceRoutes,
    sync: syncRoutes,
    domain: domainRoutes,
    directory: directoryRoutes,
    cert: certificateRoutes,
    config: configRoutes,
    edge: edgeRoutes,
    hub: hubRoutes,
    ipsec: ipsecRoutes,
    demo: demoCommand,
  },
});

const application = buildApplication(routes, {
  name: 'postern',
  versionInfo: { currentVersion: VERSION },
  scanner: { caseStyle: 'allow-kebab-for-camel' },
  documentation: { caseStyle: 'convert-camel-to-kebab', useAliasInUsageLine: true },
  determineExitCode: () => EXIT.failed,
  localization: { text: { ...text_en, ...usageText } },
});

/** Needed for relative paths only; a daemon's user may not be let into the folder of whoever calls it. */
function workingFolder(): string {
  try {
    return process.cwd();
  } catch {
    return '/';
  }
}

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort(name));

const context: Context = {
  process: process as Context['process'],
  clock: systemClock,
  random: systemRandom,
  cwd: workingFolder(),
  env: process.env,
  signal: stop.signal,
};
const words = process.argv.slice(2);
// A reader that has seen enough (`| head`) is no failure. The demo has processes to end first, and sees to that itself.
if (words[0] !== 'demo') {
  process.stdout.on('error', (error: NodeJS.ErrnoException) =>
    process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.failed),
  );
}
// Bare `postern` is `postern status`; so a misspelt command is named as such, not taken for an argument of status.
const isStatus =
  words.length === 0 ||
  (words[0]?.startsWith('-') === true && !/^(-h|-v|--help|--helpAll|--help-all|--version)$/.test(words[0]));
await run(application, isStatus ? ['status', ...words] : words, context);
// The library reports misuse as negative codes; to the shell that is one of ours.
if (typeof process.exitCode === 'number' && process.exitCode < 0) process.exitCode = EXIT.usage;
