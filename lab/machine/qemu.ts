/** Debian's cloud kernel under QEMU, emulated (no KVM is needed). Has everything, nft's inet family too. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cpioArchive } from './cpio.ts';
import { guestParameters, type Machine } from './machine.ts';

const EMULATOR = '/usr/bin/qemu-system-x86_64';
const FILE_SERVER = '/usr/lib/qemu/virtiofsd';
const MEMORY = '1G';
/** The oldest model for which everything here has code: AES and carry-less multiplication for GCM come on top. */
const PROCESSOR = 'Nehalem,+aes,+pclmulqdq';

function kernelVersion(): string | undefined {
  return readdirSync('/boot')
    .flatMap((name) => /^vmlinuz-(.*-cloud-amd64)$/.exec(name)?.[1] ?? [])
    .filter((version) => existsSync(`/lib/modules/${version}/modules.dep`))
    .sort()
    .at(-1);
}

export const qemu: Machine = {
  name: 'qemu',
  missing: () => [
    ...[EMULATOR, FILE_SERVER, '/usr/bin/gcc'].filter((path) => !existsSync(path)),
    ...(kernelVersion() === undefined ? ['/boot/vmlinuz-*-cloud-amd64'] : []),
    ...(process.getuid?.() === 0 ? [] : ['being root (for virtiofsd)']),
  ],
  prepare(options) {
    const version = kernelVersion() ?? '';
    writeFileSync(join(options.work, 'initramfs'), initramfs(version, options.top, options.work));
    const shares = [
      ['root', '/', 'always'],
      ['work', options.work, 'none'],
    ] as const;
    const servers = shares.map(
      ([tag, source, cache]) =>
        `${FILE_SERVER} --socket-path=${tag}.sock -o source=${source} -o cache=${cache} -o sandbox=chroot -o log_level=warn -f &`,
    );
    const devices = shares.flatMap(([tag]) => [
      `-chardev socket,id=${tag},path=${tag}.sock`,
      `-device vhost-user-fs-pci,chardev=${tag},tag=${tag}`,
    ]);
    const arguments_ = [
      `-machine q35,memory-backend=memory -accel tcg -cpu ${PROCESSOR} -smp 1 -m ${MEMORY}`,
      `-object memory-backend-memfd,id=memory,size=${MEMORY},share=on`,
      '-nodefaults -no-user-config -display none -no-reboot -serial stdio',
      `-kernel /boot/vmlinuz-${version} -initrd initramfs`,
      `-append "console=ttyS0 quiet panic=-1 mitigations=off ${guestParameters('qemu', options)}"`,
      ...devices,
    ];
    return Promise.resolve({
      script: [
        ...servers,
        'while [ ! -S root.sock ] || [ ! -S work.sock ]; do sleep 0.05; done',
        `${EMULATOR} ${arguments_.join(' ')} </dev/null`,
      ].join('\n'),
      environment: {},
    });
  },
};

/** Our first process, and what the kernel needs to reach its root folder. */
function initramfs(version: string, top: string, work: string): Buffer {
  const init = join(work, 'initramfs-init');
  execFileSync('gcc', ['-O2', '-static', '-o', init, join(top, 'lab/machine/initramfs.c')]);
  const modules = new Set(
    ['virtio_pci', 'virtiofs'].flatMap((module) =>
      execFileSync('/sbin/modprobe', ['--show-depends', '-S', version, module], { encoding: 'utf8' })
        .split('\n')
        .flatMap((line) => /^insmod (\S+)/.exec(line)?.[1] ?? []),
    ),
  );
  return cpioArchive([
    ...['dev', 'modules', 'root'].map((name) => ({ name })),
    { name: 'init', contents: readFileSync(init) },
    ...[...modules].map((path, index) => ({
      name: `modules/${String(index).padStart(2, '0')}.ko`,
      contents: readFileSync(path),
    })),
  ]);
}
