/** User Mode Linux: Debian's UML kernel as an ordinary process. Lacks nft's families ip, ip6 and inet. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { guestParameters, type Machine } from './machine.ts';

const KERNEL = '/usr/bin/linux.uml';

export const uml: Machine = {
  name: 'uml',
  missing: () => [KERNEL, '/usr/lib/uml/modules', '/usr/bin/gcc'].filter((path) => !existsSync(path)),
  prepare(options) {
    const shim = join(options.work, 'xstate-shim.so');
    execFileSync('gcc', [
      '-O2',
      '-fPIC',
      '-shared',
      '-o',
      shim,
      join(options.top, 'lab/machine/xstate-shim.c'),
    ]);
    const parameters = [
      'mem=1G',
      'root=/dev/root rootfstype=hostfs rootflags=/ ro',
      `init=${join(options.top, 'lab/guest/init.sh')}`,
      'con=null con0=fd:0,fd:1 ssl=null quiet',
      `uml_dir=${join(options.work, 'uml')} umid=guest`,
      guestParameters('uml', options),
    ];
    return Promise.resolve({
      // The kernel must not be process 1 of its namespace: it kills its children by signals that a process 1 would not die of.
      script: `${KERNEL} ${parameters.join(' ')} </dev/null; exit $?`,
      environment: { LD_PRELOAD: shim },
    });
  },
};
