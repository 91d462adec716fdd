/** Which scenarios there are: folders below lab/scenarios with a `scenario.dat`, in the order of their names. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseScenario, type Scenario } from './scenario.ts';

export interface FoundScenario {
  /** From lab/scenarios: `ipsec/010-passwords`. */
  readonly name: string;
  readonly description: string;
  readonly scenario: Scenario;
}

/** `wanted`: a suite (`ipsec`), a scenario (`ipsec/010-passwords`), or the beginning of one (`ipsec/010`). */
export function findScenarios(top: string, wanted: string): FoundScenario[] {
  const folder = join(top, 'lab/scenarios');
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => existsSync(join(folder, name, 'scenario.dat')))
    .filter((name) => name.startsWith(`${wanted}/`) || (wanted.includes('/') && name.startsWith(wanted)))
    .sort();
  const read = (file: string): string => readFileSync(join(folder, file), 'utf8');
  return names.map((name) => ({
    name,
    description: read(`${name}/description.txt`).trim(),
    scenario: parseScenario(`lab/scenarios/${name}/scenario.dat`, read(`${name}/scenario.dat`), read),
  }));
}

export function suites(top: string): string[] {
  const folder = join(top, 'lab/scenarios');
  return readdirSync(folder)
    .filter((name) => findScenarios(top, name).length > 0)
    .sort();
}
