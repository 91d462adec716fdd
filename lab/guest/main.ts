/** The program of a guest: runs the scenarios that `plan` of the work folder names, one after the other, and writes what came of them. */
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import type { ResultLine } from '../result.ts';
import { Host } from './host.ts';
import { makeBridge } from './network.ts';
import { runScenario } from './run-scenario.ts';

const WORK = '/mnt/work';
const tell = (line: ResultLine): void => appendFileSync(`${WORK}/results`, `${JSON.stringify(line)}\n`);

const machine = process.env['lab_machine'] ?? '';
const keep = { folder: `${WORK}/kept`, always: existsSync(`${WORK}/keep-always`) };
mkdirSync(keep.folder, { recursive: true });
mkdirSync('/mnt/command/observer.files');
const observer = await Host.start({
  name: 'observer',
  ownNamespaces: false,
  environment: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C.UTF-8' },
});
await makeBridge(observer);
for (const name of readFileSync(`${WORK}/plan`, 'utf8').split('\n').filter(Boolean))
  tell({ scenario: await runScenario({ observer, machine, keep }, name) });
tell({ end: true });
process.exit();
