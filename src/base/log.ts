/**
 * One log record a line on a stream handed in: `time level component message key=value...` as text, or a JSON object.
 * Values are escaped, so nobody can forge a line; `Secret` prints as `[secret]`.
 */
import type { Clock } from './clock.ts';
import { describeError, PosternError } from './error.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A log whose lines name `component`. */
  child(component: string): Log;
}

export interface LogOptions {
  write: (line: string) => void;
  clock: Clock;
  level?: LogLevel;
  format?: 'text' | 'json';
}

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

export function createLog(options: LogOptions, component = 'postern'): Log {
  const threshold = RANK[options.level ?? 'info'];
  const emit = (level: LogLevel, message: string, fields: LogFields = {}): void => {
    if (RANK[level] < threshold) return;
    const time = new Date(options.clock.now()).toISOString();
    const flat = Object.entries(fields).flatMap(([key, value]) => flatten(key, value));
    if (options.format === 'json') {
      options.write(`${JSON.stringify({ time, level, component, message, ...Object.fromEntries(flat) })}\n`);
    } else {
      const tail = flat.map(([key, value]) => ` ${key}=${quote(value)}`).join('');
      options.write(`${time} ${level} ${component}: ${message.replace(/[\x00-\x1f\x7f]/g, ' ')}${tail}\n`);
    }
  };
  return {
    debug: (message, fields) => emit('debug', message, fields),
    info: (message, fields) => emit('info', message, fields),
    warn: (message, fields) => emit('warn', message, fields),
    error: (message, fields) => emit('error', message, fields),
    child: (name) => createLog(options, name),
  };
}

export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
};

function flatten(key: string, value: unknown): [string, string | number | boolean][] {
  if (value === undefined) return [];
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'string')
    return [[key, value]];
  if (value instanceof PosternError) {
    return [
      [key, describeError(value)],
      [`${key}.code`, value.code],
      ...(value.hint === undefined ? [] : ([['hint', value.hint]] as [string, string][])),
    ];
  }
  if (value instanceof Error) return [[key, describeError(value)]];
  return [[key, typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value)]];
}

function quote(value: string | number | boolean): string {
  const text = String(value);
  return /^[\w.:/@+,=-]+$/.test(text) ? text : JSON.stringify(text);
}
