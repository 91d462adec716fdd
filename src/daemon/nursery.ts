/** How much memory the engine may fill before it looks for garbage. Set by the daemons when they start, before they allocate much. */
import { setFlagsFromString } from 'node:v8';

/**
 * What a request leaves behind dies at once. A small nursery costs a daemon no time that could be measured, and the engine's own choice
 * costs up to 100 MiB (a million recipients loaded).
 */
export function keepNurserySmall(): void {
  for (const flag of ['--max-semi-space-size=8', '--semi-space-growth-factor=1']) setFlagsFromString(flag);
}
