import { expect, test } from 'vitest';
import { createLog, type Log } from '../base/log.ts';
import { FakeClock } from '../../test/fakes/clock.ts';
import { FaultLog } from './fault-log.ts';

function site(linesPerMinute: number): { faults: FaultLog; lines: string[] } {
  const lines: string[] = [];
  const log: Log = createLog({
    write: (line) => void lines.push(line.slice(25).trim()),
    clock: new FakeClock(),
  });
  return { faults: new FaultLog(log, linesPerMinute, 0), lines };
}

test('some lines a minute, then numbers', () => {
  const { faults, lines } = site(2);
  for (let n = 0; n < 5000; n++) faults.report(n % 5 === 0 ? 'clearText' : 'notLdap', n, 'what', { n });
  expect(lines).toEqual(['warn postern: what n=0', 'info postern: what n=1']);
  faults.look(59_999);
  expect(lines.length).toBe(2);
  faults.look(60_000);
  expect(lines.slice(2)).toEqual([
    'info postern: more connections with faults withinSeconds=60 notLdap=3999 clearText=999',
  ]);
  faults.report('internal', 60_001, 'again', {});
  expect(lines.at(-1)).toBe('error postern: again');
  faults.look(200_000);
  expect(lines.length).toBe(4);
});
