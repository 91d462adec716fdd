/** Where each GUID of a file was met first; typed arrays, since nightly exports can have a million entries. */

const GUID_BYTES = 16;

export class GuidLines {
  #guids = Buffer.alloc(1024 * GUID_BYTES);
  /** Line numbers, from 1; 0 is an empty slot. */
  #lines = new Uint32Array(1024);
  #count = 0;

  get size(): number {
    return this.#count;
  }

  /** Remembers the line of a GUID; returns the earlier line when it was met before. */
  add(guid: Buffer, line: number): number | undefined {
    if (this.#count * 2 >= this.#lines.length) this.#grow();
    const slot = this.#slot(guid);
    const earlier = this.#lines[slot] as number;
    if (earlier !== 0) return earlier;
    guid.copy(this.#guids, slot * GUID_BYTES);
    this.#lines[slot] = line;
    this.#count++;
    return undefined;
  }

  #slot(guid: Buffer): number {
    const mask = this.#lines.length - 1;
    for (let slot = hashOf(guid) & mask; ; slot = (slot + 1) & mask) {
      const start = slot * GUID_BYTES;
      if (this.#lines[slot] === 0 || guid.compare(this.#guids, start, start + GUID_BYTES) === 0) return slot;
    }
  }

  #grow(): void {
    const [guids, lines] = [this.#guids, this.#lines];
    this.#guids = Buffer.alloc(guids.length * 2);
    this.#lines = new Uint32Array(lines.length * 2);
    for (const [slot, line] of lines.entries()) {
      if (line === 0) continue;
      const guid = guids.subarray(slot * GUID_BYTES, (slot + 1) * GUID_BYTES);
      const to = this.#slot(guid);
      guid.copy(this.#guids, to * GUID_BYTES);
      this.#lines[to] = line;
    }
  }
}

/** All 16 bytes mixed (FNV-1a): GUIDs may be made in sequence. */
function hashOf(guid: Buffer): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < GUID_BYTES; i++) hash = Math.imul(hash ^ (guid[i] as number), 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}
