/** `postern source check`: the source of a configuration, opened as the hub would open it, and read once. Needs no daemon and changes nothing. */
import { PosternError } from '../base/error.ts';
import { systemClock } from '../base/clock.ts';
import type { HubConfig } from '../config/hub-config.ts';
import { checkSource, type SourceCheckOptions, type SourceReport } from '../sync/source-check.ts';
import { openSource } from './hub/source.ts';

export type { SourceReport };

/** Throws `config.invalid`, `file.unreadable`, `file.permissions`, and as feeds do. */
export async function checkConfiguredSource(
  config: HubConfig,
  options: Pick<SourceCheckOptions, 'samples' | 'signal' | 'onProgress'>,
): Promise<SourceReport> {
  if (config.source === undefined) {
    throw new PosternError('config.invalid', 'no source is configured', {
      hint: 'docs/sources.md shows the table [source] for each kind of directory',
    });
  }
  return checkSource({ ...(await openSource(config.source, systemClock)), ...options });
}
