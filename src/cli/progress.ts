/** A progress bar on a terminal; silent elsewhere. */
import type { Output } from './context.ts';
import { formatCount } from './table.ts';

export interface Progress {
  update(done: number, total: number | undefined, note?: string): void;
  end(): void;
}

export function createProgress(stream: Output, label: string): Progress {
  if (stream.isTTY !== true) return { update() {}, end() {} };
  let drawn = false;
  return {
    update(done, total, note = '') {
      const room = Math.max(10, Math.min(40, (stream.columns ?? 80) - label.length - 40));
      const share = total === undefined || total === 0 ? 0 : Math.min(1, done / total);
      const filled = Math.round(room * share);
      const figures =
        total === undefined ? formatCount(done) : `${formatCount(done)} of ${formatCount(total)}`;
      stream.write(`\r\x1b[K${label} [${'█'.repeat(filled)}${'·'.repeat(room - filled)}] ${figures} ${note}`);
      drawn = true;
    },
    end() {
      if (drawn) stream.write('\n');
    },
  };
}
