/** What the simulated nodes share: being killed between two things, and backups of their disks. */

export class Killed extends Error {}

/** Counts down with each thing that a node does; it is killed below zero. */
export interface Fuse {
  left: number;
}

export interface Backup<T> {
  readonly at: number;
  readonly value: T;
}

const LONGEST_AGE_MS = 90 * 86_400_000;

export function remember<T>(backups: Backup<T>[], at: number, value: T): Backup<T>[] {
  backups.push({ at, value });
  if (backups.length < 4000) return backups;
  return backups.filter(
    (one, index) => one.at > at - LONGEST_AGE_MS && (index % 2 === 0 || one.at > at - 86_400_000),
  );
}

/** The disk as it was at `at`. */
export function backupAt<T>(backups: readonly Backup<T>[], at: number): Backup<T> | undefined {
  return backups.findLast((one) => one.at <= at) ?? backups[0];
}
