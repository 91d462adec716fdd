/** What was made of one entry, for those who ask for it far more often than it changes. Knows nothing of what it is. */
import type { Directory } from './directory.ts';
import type { Entry } from './entry/entry.ts';
import { EntryView } from './entry/layout.ts';

export class KeptEntry<T> {
  readonly #directory: Directory;
  readonly #dn: string;
  readonly #make: (entry: Entry | undefined) => T;
  readonly #view = new EntryView();
  #made: { readonly value: T } | undefined;
  #id = 0;
  #structure = 0;
  /** Of the entry when it was read. */
  #changed = 0;
  #changeCount = 0;
  /** Of the directory when it was last seen that the entry is as it was. */
  #time = -1;
  #count = -1;

  /** `make`: from the entry, undefined when there is none. It must keep nothing of it. */
  constructor(directory: Directory, dn: string, make: (entry: Entry | undefined) => T) {
    this.#directory = directory;
    this.#dn = dn;
    this.#make = make;
  }

  get value(): T {
    const { database } = this.#directory;
    const { time, count } = database.lastChange;
    if (this.#made !== undefined && ((time === this.#time && count === this.#count) || this.#isUnchanged())) {
      this.#time = time;
      this.#count = count;
      return this.#made.value;
    }
    const value = this.#read();
    this.#made = { value };
    this.#time = time;
    this.#count = count;
    return value;
  }

  /** A changed entry has another number, and one of another name is at another place of the `structure`. */
  #isUnchanged(): boolean {
    const { database } = this.#directory;
    const view = this.#view;
    return (
      this.#id !== 0 &&
      this.#structure === database.structure &&
      database.read(this.#id, view) &&
      view.changed() === this.#changed &&
      view.changeCount() === this.#changeCount
    );
  }

  #read(): T {
    const directory = this.#directory;
    const { database } = directory;
    this.#id = directory.resolve(this.#dn);
    if (this.#id !== 0) database.watch(this.#id);
    this.#structure = database.structure;
    if (database.read(this.#id, this.#view)) {
      this.#changed = this.#view.changed();
      this.#changeCount = this.#view.changeCount();
    }
    return this.#make(directory.readEntry(this.#id));
  }
}
