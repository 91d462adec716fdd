/** The lab can be trusted: on a real kernel with real ESP its own scenarios hold, and those that are wrong are found out. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { uml } from '../../lab/machine/uml.ts';
import type { ScenarioResult } from '../../lab/result.ts';
import { runScenarios } from '../../lab/run.ts';
import { findScenarios } from '../../lab/suite.ts';

const top = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const sound = findScenarios(top, 'self-test').map(({ name }) => name);
const faulty: Readonly<Record<string, RegExp[]>> = {
  'faulty/010-wrong-pattern': [/goodbye\/m not found in\nhello$/, /hello\/m found in\nhello$/],
  'faulty/020-failing-step': [/exit 3: status 3/],
  'faulty/030-clear-packet': [
    /\d+ packets of protected ports in clear: tcp 10\.77\.0\.1 \d+ > 10\.77\.0\.10 110/,
  ],
  'faulty/040-left-behind': [/left behind:[\s\S]*sleep/],
};
const keepAt = mkdtempSync(join(tmpdir(), 'postern-lab-test-'));
let results: Map<string, ScenarioResult>;

beforeAll(async () => {
  const scenarios = [...sound, ...Object.keys(faulty)];
  const all = await runScenarios({
    top,
    node: process.execPath,
    machine: uml,
    scenarios,
    withPostern: false,
    limitSeconds: 1500,
    keepAt,
  });
  results = new Map(all.map((result) => [result.name, result]));
}, 1_600_000);

afterAll(() => rmSync(keepAt, { recursive: true, force: true }));

describe('scenarios on User Mode Linux', () => {
  it('are found', () => expect(sound.length).toBeGreaterThan(3));

  it.each(sound)('%s holds', (name) => {
    expect(results.get(name)).toMatchObject({ failures: [], clearPackets: 0 });
  });

  it('the protected ones show ESP', () => {
    expect(results.get('self-test/020-esp')?.espPackets).toBeGreaterThan(5);
  });

  it.each(Object.entries(faulty))('%s fails', (name, messages) => {
    const failures = results.get(name)?.failures ?? [];
    expect(failures).toHaveLength(messages.length);
    for (const [index, message] of messages.entries()) expect(failures[index]).toMatch(message);
  });

  it('what helps to understand a failure is kept', () => {
    const folder = join(keepAt, 'kept/faulty-030-clear-packet');
    expect(readFileSync(join(folder, 'log'), 'utf8')).toContain(
      'ok lab/scenarios/faulty/030-clear-packet/scenario.dat:6',
    );
    expect(existsSync(join(folder, 'bridge.pcap'))).toBe(true);
    expect(existsSync(join(folder, 'back1/policy'))).toBe(true);
  });
});
