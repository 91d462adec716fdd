import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CredentialDocument, CredentialPairDocument } from '../admin/documents.ts';
import { drawTimeline } from './credential-timeline.ts';

const DAY = 86_400_000;
const NOW = Date.UTC(2027, 0, 13, 7);

function credential(
  number: number,
  made: number,
  effective: number,
  change: Partial<CredentialDocument> = {},
) {
  const account = `ESRA.edge1.hub1.${number}`;
  const [madeAt, effectiveAt] = [NOW + made * DAY, NOW + effective * DAY];
  return {
    account,
    number,
    state: 'ready',
    made: madeAt,
    effective: effectiveAt,
    expires: effectiveAt + 30 * DAY,
    ...change,
  } as const;
}

const pair: CredentialPairDocument = {
  edge: 'edge1',
  state: 'active',
  nextLook: NOW + 2 * DAY,
  credentials: [
    credential(0, -52, -52, { state: 'over', gone: NOW - 22 * DAY, confirmed: NOW - 52 * DAY }),
    credential(1, -29, -25, { state: 'in use', confirmed: NOW - 29 * DAY }),
    credential(2, -2, 2, { state: 'on its way' }),
  ],
  warnings: [],
};

describe('the time line of a pair', () => {
  it('has a lane for each generation, dates, words, and what comes next', () => {
    expect(drawTimeline('hub1', pair, NOW, 80)).toBe(
      `
hub1 on edge1
   0 over       ├─────────────────────┤               │
   1 in use                      ○┄┄├━━━━━━━━━━━━━━━━━┿━━━┤
   2 on its way                                      ○┿┄├─────────────────────┤
                ╵              ╵              ╵       ▲      ╵
                11-22          12-12          01-01          01-22

   0 effective 52 d ago, expired 22 d ago, confirmed 52 d ago
   1 made 29 d ago, effective 25 d ago, expires in 5 d, confirmed 29 d ago
   2 made 2 d ago, effective in 2 d, expires in 32 d, NOT confirmed by the edge yet
     next by itself: 2027-01-15 07:00 UTC, in 2 d`.trim(),
    );
  });

  it('shows a deleted one, what is wrong, and a pair that is suspended', () => {
    const gone = credential(3, -20, -20, { state: 'over', gone: NOW - 10 * DAY });
    const warnings = [{ code: 'clock.skew', text: 'the clocks differ' }] as const;
    const drawn = drawTimeline(
      'hub1',
      { ...pair, credentials: [...pair.credentials, gone], warnings },
      NOW,
      80,
    );
    expect(drawn).toMatch(/^ {3}3 over +├─+× +│$/m);
    expect(drawn).toContain('  !! the clocks differ [clock.skew]');
    expect(drawTimeline('hub1', { ...pair, state: 'suspended' }, NOW, 80)).toContain('the pair is suspended');
    expect(drawTimeline('hub1', { ...pair, credentials: [] }, NOW, 80)).toBe(
      'hub1 on edge1: no credential yet',
    );
  });

  it('keeps within the terminal, however short or long the times are', () => {
    const times = fc.tuple(
      fc.integer({ min: -4000, max: 4000 }),
      fc.integer({ min: 0, max: 90 }),
      fc.integer({ min: 1, max: 400 }),
    );
    const all = fc.array(times, { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(all, fc.integer({ min: 67, max: 200 }), (lanes, columns) => {
        const credentials = lanes.map(([made, wait, life], number) =>
          credential(number, made, made + wait, { expires: NOW + (made + wait + life) * DAY }),
        );
        const drawn = drawTimeline('hub1', { ...pair, credentials }, NOW, columns).split('\n');
        const end = drawn.indexOf('');
        for (const line of drawn.slice(0, end)) expect(line.length).toBeLessThanOrEqual(columns);
        expect(drawn[end - 2]).toMatch(/^[ ╵]*▲[ ╵]*$/);
      }),
    );
  });
});
