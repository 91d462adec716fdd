/** What `postern directory` answers, as plain data: see `documents.ts` for how these are versioned. Times in milliseconds, sizes in bytes. */
import type { BackupReport, CompactReport, StoreStats } from '../directory/store/store.ts';

export interface DirectoryOwner {
  readonly role: 'edge' | 'hub';
  /** Name of the edge or hub. */
  readonly name: string;
}

export interface StoreVerifyDocument extends DirectoryOwner {
  readonly sound: boolean;
  /** Entries looked at: each is found by its name and by every indexed value. */
  readonly entries: number;
  /** What the files hold: records in the snapshot, groups of changes in the journals, bytes of both. */
  readonly records: number;
  readonly groups: number;
  readonly bytes: number;
  readonly problems: readonly string[];
}

export interface StatsDocument extends DirectoryOwner {
  readonly entries: number;
  readonly containers: readonly { readonly dn: string; readonly children: number }[];
  readonly indexBytes: number;
  readonly store: StoreStats;
  readonly folder: string;
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
}

export type CompactDocument = DirectoryOwner & CompactReport;

/** Stands as `postern.json` in the backup's folder, too. */
export interface BackupDocument extends DirectoryOwner {
  readonly format: 1;
  readonly product: string;
  readonly entries: number;
  /** Which address key the recipients of an edge are hashed with; the key itself is never in a backup. */
  readonly addressKeyId?: string;
  readonly backup: BackupReport;
}

export interface RestoreDocument extends DirectoryOwner {
  readonly entries: number;
  readonly folder: string;
  /** Where the former directory was moved. */
  readonly former?: string;
  readonly backup: BackupReport;
}

/** Counts of one piece of an import, or of all of them. */
export interface ImportCounts {
  readonly added: number;
  readonly replaced: number;
  readonly changed: number;
  /** Entries that were there already, with the same content. */
  readonly unchanged: number;
  /** Entries that the daemon writes itself. */
  readonly leftAlone: number;
}

export interface ImportDocument extends ImportCounts, DirectoryOwner {
  readonly records: number;
}

export interface ExportDocument extends DirectoryOwner {
  readonly entries: number;
  readonly bytes: number;
  readonly file: string;
}
