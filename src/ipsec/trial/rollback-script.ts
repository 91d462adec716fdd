/**
 * What takes a policy on trial back: a shell script, rendered when the policy is applied, that needs neither Node nor, for what matters, charon. Pure.
 *
 * `now` decides and takes back; `wait` sleeps until the deadline first. The decision is a file that can be made once (`ln`, with its content): whoever
 * makes it, this script or `confirm`, has decided. Everything after it can be repeated.
 */
import type { PolicyState } from '../state/policy-state.ts';
import type { StateFolders } from '../state/effective-state.ts';
import { trialFolder } from '../state/effective-state.ts';
import { GUARD_SCRIPT } from '../guard/script.ts';
import type { Trial } from './trial-machine.ts';

export const KEEP = 'keep';
export const TAKE_BACK = 'take-back';

export interface RollbackPaths {
  readonly script: string;
  /** The requests of `undoRequests`. */
  readonly undo: string;
  readonly decision: string;
  /** Where the trial's folder goes when it was taken back. */
  readonly takenBack: string;
}

export function rollbackPaths(folders: StateFolders, id: string): RollbackPaths {
  const at = (name: string): string => `${folders.run}/${name}`;
  return {
    script: at(`rollback-${id}`),
    undo: at(`undo-${id}`),
    decision: at(`decision-${id}`),
    takenBack: at('taken-back'),
  };
}

export interface RollbackOptions {
  readonly trial: Trial;
  readonly folders: StateFolders;
  readonly tried: PolicyState;
  readonly viciSocket: string;
}

export function renderRollback({ trial, folders, tried, viciSocket }: RollbackOptions): string {
  const paths = rollbackPaths(folders, trial.id);
  const pairs = tried.connections.flatMap(({ local, remote }) => {
    const length = local.addresses[0]?.includes(':') === true ? 128 : 32;
    return [`${local.addresses[0]} ${remote.addresses[0]} ${length}`];
  });
  return `#!/bin/sh
# Takes back the IPsec policy on trial ${trial.id}, unless it was confirmed. Made by "postern ipsec apply".
# rollback now | wait
PATH=/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
trial=${quote(trialFolder(folders))}
confirmed=${quote(folders.confirmed)}
decision=${quote(paths.decision)}
taken=${quote(paths.takenBack)}
undo=${quote(paths.undo)}
socket=${quote(viciSocket)}
boot=${quote(trial.bootId)}
deadline=${Math.ceil(trial.deadline)}

same_boot() { [ "$(cat /proc/sys/kernel/random/boot_id)" = "$boot" ]; }
# CLOCK_BOOTTIME in whole seconds: it goes on while the machine sleeps.
uptime() { cut -d. -f1 /proc/uptime; }

if [ "$1" = wait ]; then
  trap '' HUP INT TERM
  # Until somebody has decided, or nothing of it is left.
  while same_boot && [ ! -e "$decision" ] && { [ -e "$0" ] || [ -e "$trial" ]; } && [ "$(uptime)" -lt "$deadline" ]; do sleep 1; done
fi
same_boot || { rm -rf "$trial"; exit 0; }
# Only this trial: not one that was applied after it, and nothing that was never in force.
is_ours() { grep -q '"id":"${trial.id}"' "$1/trial.json" 2>/dev/null; }
is_ours "$trial" || is_ours "$taken" || exit 0
echo ${TAKE_BACK} >"$decision.$$"
ln "$decision.$$" "$decision" 2>/dev/null
rm -f "$decision.$$"
[ "$(cat "$decision")" = ${TAKE_BACK} ] || exit 0

# The guard of before, or none when there was none.
if [ -f "$confirmed/${GUARD_SCRIPT}" ]; then /bin/sh "$confirmed/${GUARD_SCRIPT}" load
elif [ -f "$trial/${GUARD_SCRIPT}" ]; then /bin/sh "$trial/${GUARD_SCRIPT}" remove
fi
# From here on the former policy is in force for everybody who looks.
if is_ours "$trial"; then
  rm -rf "$taken"
  mv "$trial" "$taken"
fi
# charon, as far as it listens: the requests are ready. Then what it would not hear is taken out of the kernel.
tell_charon() {
  [ -s "$undo" ] || return 0
  command -v perl >/dev/null && perl -MIO::Socket::UNIX -e '
    $SIG{ALRM} = sub { exit 1 };
    alarm 10;
    my $charon = IO::Socket::UNIX->new(Peer => $ARGV[0]) or exit 1;
    open(my $file, "<:raw", $ARGV[1]) or exit 1;
    sub whole { my ($from, $count) = @_; my $all = ""; while (length $all < $count) { sysread($from, my $part, $count - length $all) or exit 1; $all .= $part } $all }
    while (sysread($file, my $head, 4) == 4) {
      my $request = whole($file, unpack("N", $head));
      my $bytes = $head . $request;
      while (length $bytes) { my $n = syswrite($charon, $bytes) or exit 1; substr($bytes, 0, $n) = "" }
      whole($charon, unpack("N", whole($charon, 4)));
    }' "$socket" "$undo"
}
if ! tell_charon; then
  while read -r own peer length; do
    [ -n "$own" ] || continue
    ip xfrm policy deleteall src "$own/$length" dst "$peer/$length" 2>/dev/null
    ip xfrm policy deleteall src "$peer/$length" dst "$own/$length" 2>/dev/null
    ip xfrm state deleteall src "$own" dst "$peer" 2>/dev/null
    ip xfrm state deleteall src "$peer" dst "$own" 2>/dev/null
  done <<'END'
${pairs.join('\n')}
END
fi
rm -f "$undo"
exit 0
`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
