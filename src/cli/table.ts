/** Plain tables for the terminal: columns as wide as their widest cell, two spaces between. */

export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(width(title), ...rows.map((row) => width(row[column] ?? ''))),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => cell + ' '.repeat(Math.max(0, (widths[i] ?? 0) - width(cell))))
      .join('  ')
      .trimEnd();
  return [line(head), ...rows.map(line)].join('\n');
}

/** Aligned "name  value" lines; undefined values are left out. */
export function formatFields(fields: readonly (readonly [string, string | undefined])[]): string {
  const present = fields.filter((field): field is readonly [string, string] => field[1] !== undefined);
  const widest = Math.max(0, ...present.map(([name]) => name.length));
  return present
    .map(
      ([name, value]) => `${name.padEnd(widest)}  ${value.replaceAll('\n', `\n${' '.repeat(widest + 2)}`)}`,
    )
    .join('\n');
}

/** "12,345" whatever the locale. */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** "1.5 MiB", "812 bytes". */
export function formatBytes(bytes: number): string {
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  if (bytes < 1024) return `${formatCount(bytes)} bytes`;
  const n = Math.min(units.length, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 2 ** (10 * n);
  return `${value < 10 ? value.toFixed(1) : formatCount(Math.round(value))} ${units[n - 1] ?? ''}`;
}

/** Escapes control characters, so that no stored value can drive the terminal. */
export function printable(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f]/g,
    (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

const SEGMENTER = new Intl.Segmenter('en', { granularity: 'grapheme' });

function width(text: string): number {
  return [...SEGMENTER.segment(text)].length;
}
