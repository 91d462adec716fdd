/**
 * The record store: numeric record id -> opaque bytes, plus a few named values, in memory and made durable by a journal and
 * snapshots. This file is what others import. It must not know what a record means.
 */
export { checkBackup, restoreBackup } from './backup.ts';
export type {
  BackupReport,
  Batch,
  BlobView,
  CompactReport,
  OnDurable,
  RecordId,
  RecordStore,
  RecoveryReport,
  SlabStats,
  StoreOptions,
  StoreStats,
  StoreTuning,
  VerifyReport,
  Visitor,
} from './contract.ts';
export { createMemoryStore } from './memory-store.ts';
export { openStore } from './record-store.ts';
