/** See `edge-process.ts`. */
import process from 'node:process';

process.on('message', () => {
  globalThis.gc?.();
  process.send?.(process.memoryUsage());
});
await import('../directory/edge-main.ts');
