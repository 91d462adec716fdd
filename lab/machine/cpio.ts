/** An initramfs as the kernel reads it: the "newc" format of cpio. Owns the bytes only; pure. */

export interface ArchiveFile {
  /** Without a leading `/`. Folders come before what is in them. */
  readonly name: string;
  /** Absent: a folder. */
  readonly contents?: Uint8Array;
}

const FOLDER = 0o040755;
const EXECUTABLE = 0o100755;

export function cpioArchive(files: readonly ArchiveFile[]): Buffer {
  const members = files.map(({ name, contents }, index) =>
    member(index + 1, contents === undefined ? FOLDER : EXECUTABLE, name, contents ?? new Uint8Array()),
  );
  return Buffer.concat([...members, member(0, 0, 'TRAILER!!!', new Uint8Array())]);
}

function member(inode: number, mode: number, name: string, contents: Uint8Array): Buffer {
  const fields = [inode, mode, 0, 0, 1, 0, contents.length, 0, 0, 0, 0, name.length + 1, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`;
  return Buffer.concat([padded(Buffer.from(header, 'latin1')), padded(contents)]);
}

function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}
