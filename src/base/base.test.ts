import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/clock.ts';
import { fakeRandom } from '../../test/fakes/random.ts';
import { backoffDelay } from './backoff.ts';
import { systemClock } from './clock.ts';
import { formatAge, formatDuration, parseDuration } from './duration.ts';
import { describeError, isPosternError, PosternError } from './error.ts';
import { Lifecycle } from './lifecycle.ts';
import { createLog, silentLog } from './log.ts';
import { Secret } from './secret.ts';

describe('durations', () => {
  it.each([
    ['90s', 90_000],
    ['6min', 360_000],
    ['6 min', 360_000],
    ['6m', 360_000],
    ['24h', 86_400_000],
    ['1d12h', 129_600_000],
    ['2 h 30 min', 9_000_000],
    ['2w', 1_209_600_000],
    ['250ms', 250],
  ])('%s', (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each(['', 'soon', '5', '-5s', '1.5h', '5 parsecs', '99999999999h', '5s!'])('refuses "%s"', (text) => {
    expect(() => parseDuration(text)).toThrow(expect.objectContaining({ code: 'usage' }));
  });

  it('are shown by their two largest units', () => {
    expect([450, 1000, 61_000, 3_600_000, 93_784_000, -5000].map(formatDuration)).toEqual([
      '450 ms',
      '1 s',
      '1 min 1 s',
      '1 h',
      '1 d 2 h',
      '-5 s',
    ]);
    expect([formatAge(0, 60_000), formatAge(60_000, 0)]).toEqual(['1 min ago', 'in 1 min']);
  });

  it('whole seconds survive being shown and read again, as far as two units go', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 59 }), fc.integer({ min: 0, max: 59 }), (min, s) => {
        expect(parseDuration(formatDuration((min * 60 + s) * 1000))).toBe((min * 60 + s) * 1000);
      }),
    );
  });
});

describe('secrets', () => {
  it('print as [secret] in every way', () => {
    const secret = new Secret('hunter2');
    const shown = [
      String(secret),
      JSON.stringify({ secret }),
      inspect({ secret }),
      inspect(new PosternError('usage', 'x', { cause: { secret } })),
    ].join(' ');
    expect(shown).not.toContain('hunter2');
    expect(shown).toContain('[secret]');
  });

  it('compare by content, take a copy, and can be erased', () => {
    const bytes = Buffer.from('abc');
    const secret = new Secret(bytes);
    bytes.fill(0);
    expect([
      secret.equals(new Secret('abc')),
      secret.equals(new Secret('abd')),
      secret.equals(new Secret('ab')),
    ]).toEqual([true, false, false]);
    secret.erase();
    expect(secret.revealText()).toBe('\0\0\0');
  });
});

describe('log', () => {
  const lines = (format: 'text' | 'json', level: 'debug' | 'info' = 'info') => {
    const written: string[] = [];
    return {
      written,
      log: createLog({ write: (line) => written.push(line), clock: new FakeClock(0), format, level }),
    };
  };

  it('writes one line a record, which nobody can forge', () => {
    const { written, log } = lines('text');
    log.child('bind').warn('refused\nforged', {
      name: 'a b\n2026 info fake: x',
      count: 3,
      none: undefined,
      secret: new Secret('x'),
    });
    expect(written).toEqual([
      '1970-01-01T00:00:00.000Z warn bind: refused forged name="a b\\n2026 info fake: x" count=3 secret="\\"[secret]\\""\n',
    ]);
  });

  it('tells an error with its code, causes and hint', () => {
    const { written, log } = lines('json');
    log.debug('not shown');
    log.error('failed', {
      error: new PosternError('connect.failed', 'no answer', {
        hint: 'is it on?',
        cause: new Error('ECONNREFUSED'),
      }),
    });
    expect(written.map((line) => JSON.parse(line) as unknown)).toEqual([
      {
        time: '1970-01-01T00:00:00.000Z',
        level: 'error',
        component: 'postern',
        message: 'failed',
        error: 'no answer: ECONNREFUSED',
        'error.code': 'connect.failed',
        hint: 'is it on?',
      },
    ]);
  });
});

describe('errors', () => {
  it('are told apart by code', () => {
    const error = new PosternError('not-found', 'nothing here');
    expect([
      isPosternError(error),
      isPosternError(error, 'usage', 'not-found'),
      isPosternError(error, 'usage'),
      isPosternError(new Error('x')),
    ]).toEqual([true, true, false, false]);
  });

  it('are described with their causes, without end or repetition', () => {
    const loop = new Error('loop') as Error & { cause?: unknown };
    loop.cause = loop;
    expect(describeError(loop)).toBe('loop');
    expect(describeError('text')).toBe('text');
    expect(describeError(new PosternError('usage', 'a', { cause: new Error('b') }))).toBe('a: b');
  });
});

describe('backoff', () => {
  it('doubles up to its limit, between half and whole', () => {
    const random = fakeRandom();
    for (const [failures, full] of [
      [1, 100],
      [2, 200],
      [5, 1600],
      [9, 5000],
      [5000, 5000],
    ] as const) {
      const delay = backoffDelay(failures, { firstMs: 100, mostMs: 5000 }, random);
      expect(delay).toBeGreaterThanOrEqual(full / 2);
      expect(delay).toBeLessThanOrEqual(full);
    }
  });
});

describe('lifecycle', () => {
  it('stops in reverse order, once, whatever fails', async () => {
    const order: string[] = [];
    const lifecycle = new Lifecycle(silentLog);
    lifecycle.add('a', () => void order.push('a'));
    lifecycle.add('b', () => Promise.reject(new Error('stuck')));
    lifecycle.add('c', async () => void order.push('c'));
    await Promise.all([lifecycle.stop(), lifecycle.stop()]);
    expect([order, lifecycle.stopping]).toEqual([['c', 'a'], true]);
  });
});

describe('clock', () => {
  it('sleeps until told, or until the signal aborts', async () => {
    const clock = new FakeClock();
    const slept = clock.sleep('nap', 1000);
    await clock.armed('nap');
    await clock.advance(1000);
    await slept;
    const abort = new AbortController();
    const cut = systemClock.sleep('nap', 1e12, abort.signal);
    abort.abort(new Error('enough'));
    await expect(cut).rejects.toThrow('enough');
    await expect(systemClock.sleep('nap', 1, abort.signal)).rejects.toThrow('enough');
  });
});
