/** `npm run lab -- NAME [--machine uml|qemu] [--json] [--list]`: scenarios on a real kernel with real ESP. docs/lab.md. */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { join } from 'node:path';
import { realpathSync } from 'node:fs';
import type { Machine } from './machine/machine.ts';
import { qemu } from './machine/qemu.ts';
import { uml } from './machine/uml.ts';
import type { ScenarioResult } from './result.ts';
import { runScenarios } from './run.ts';
import { findScenarios, type FoundScenario, suites } from './suite.ts';

const MACHINES: readonly Machine[] = [uml, qemu];
const top = realpathSync(fileURLToPath(new URL('..', import.meta.url)));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    machine: { type: 'string' },
    json: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    limit: { type: 'string', default: '600' },
  },
});
const wanted = positionals[0] ?? '';
const found = wanted === '' ? [] : findScenarios(top, wanted.replace(/^lab\/scenarios\//, ''));
if (found.length === 0) {
  console.error(
    'usage: npm run lab -- NAME [--machine uml|qemu] [--json] [--list] [--keep] [--limit SECONDS]',
  );
  console.error(`NAME is a suite (${suites(top).join(', ')}) or a scenario of one, such as ipsec/010`);
  process.exit(2);
}
if (values.list) {
  for (const { name, description } of found)
    console.log(`${name}\n    ${description.replaceAll('\n', '\n    ')}`);
  process.exit();
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130));

const results: ScenarioResult[] = [];
for (const [machine, scenarios] of share(found)) {
  console.error(`${machine.name}: ${scenarios.length} scenarios`);
  results.push(
    ...(await runScenarios({
      top,
      node: realpathSync(process.execPath),
      machine,
      scenarios: scenarios.map(({ name }) => name),
      withPostern: scenarios.some(({ scenario }) =>
        [scenario.prepared ?? '', ...scenario.lines.map(({ command }) => command)].some((text) =>
          /\bpostern\b/.test(text),
        ),
      ),
      limitSeconds: Number(values.limit),
      keepAt: join(top, '.tmp/lab', `${wanted.replaceAll('/', '-')}-${machine.name}`),
      keepAlways: values.keep,
      onResult: tell,
    })),
  );
}
const failed = results.filter(({ failures }) => failures.length > 0).length;
const sum = (of: (result: ScenarioResult) => number): number =>
  results.reduce((total, result) => total + of(result), 0);
const figures: Record<string, number> = {
  scenarios: results.length,
  'scenarios-failed': failed,
  'clear-packets': sum(({ clearPackets }) => clearPackets),
  'esp-packets': sum(({ espPackets }) => espPackets),
};
for (const result of results) Object.assign(figures, result.figures);
for (const [name, value] of Object.entries(figures)) console.error(`${name}: ${value}`);
if (failed > 0 || values.keep) console.error(`logs and captures: ${join('.tmp/lab')}`);
if (values.json) {
  const list = Object.entries(figures).map(([name, value]) => ({
    name,
    value,
    unit: name.endsWith('-ms') ? 'ms' : '',
  }));
  console.log(JSON.stringify({ figures: list }));
}
process.exit(failed === 0 ? 0 : 1);

/** Each scenario on the machine that is asked for, else on the first of those it can run on; in one guest as many as there are. */
function share(all: readonly FoundScenario[]): Map<Machine, FoundScenario[]> {
  const shared = new Map<Machine, FoundScenario[]>();
  for (const one of all) {
    const machine = MACHINES.find(
      (candidate) =>
        one.scenario.machines.includes(candidate.name) &&
        (values.machine === undefined || values.machine === candidate.name),
    );
    if (machine !== undefined) shared.set(machine, [...(shared.get(machine) ?? []), one]);
  }
  return shared;
}

function tell({ name, failures, seconds, clearPackets, espPackets }: ScenarioResult): void {
  console.error(
    `${failures.length === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s, ${espPackets} esp, ${clearPackets} clear)`,
  );
  for (const failure of failures) console.error(`       ${failure.replaceAll('\n', '\n       ')}`);
}
