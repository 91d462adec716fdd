/**
 * The guard as a shell script that needs neither charon nor Node: what loads it before the network is up, puts it back when somebody took it away, and
 * says whether it is there. Pure; the scripts of a policy that is being tried and of the confirmed one stand in two folders, and the watch of either
 * mends whichever is in force.
 */
import { createHash } from 'node:crypto';
import { GUARD_COUNTERS, GUARD_TABLE, REMOVE_NFT, renderNft } from './render-nft.ts';
import { BLOCK_PRIORITY, PASS_PRIORITY, renderXfrm } from './render-xfrm.ts';
import { type GuardScope, isEmpty } from './scope.ts';

export type GuardMechanism = 'nft' | 'xfrm' | 'none';

export interface GuardFolders {
  /** Where the policy that is being tried has its script; gone when it is confirmed, taken back, or after a reboot. */
  readonly trial: string;
  readonly confirmed: string;
  /** Scratch files; gone after a reboot. */
  readonly run: string;
}

/** Name of the script in either folder. */
export const GUARD_SCRIPT = 'guard';

/** Seconds between two looks of the watch, which also looks at once when the kernel reports a change. */
const LOOK_SECONDS = 5;

export function renderGuardScript(
  scope: GuardScope,
  mechanism: GuardMechanism,
  folders: GuardFolders,
): string {
  const part =
    isEmpty(scope) || mechanism === 'none' ? NONE : mechanism === 'nft' ? nftPart(scope) : xfrmPart(scope);
  const id = createHash('sha256').update(part).update(JSON.stringify(folders)).digest('hex').slice(0, 32);
  return `#!/bin/sh
# The guard of Postern's IPsec policy: drops protected traffic that is not inside ESP. Made by "postern ipsec apply"; changes are lost.
# guard load | mend | check | watch | reload | listing | counters | remove
id=${id}
trial=${quote(folders.trial)}
confirmed=${quote(folders.confirmed)}
run=${quote(folders.run)}
PATH=/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
${part}${COMMON}`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

const LIST_XFRM = `xfrm_listing() {
  ip xfrm policy 2>/dev/null | tr '\\n' ' ' | sed 's/ \\(src [^ ]* dst [^ ]* \\)/\\n\\1/g' |
    sed -n 's/^ *\\(src .*\\)[ \\t]dir \\(in\\|out\\) action \\(block\\|allow\\) \\(.*priority \\(${BLOCK_PRIORITY}\\|${PASS_PRIORITY}\\)\\) .*/dir \\2 \\1/p' |
    tr -s ' \\t' ' ' | sed 's/ $//' | sort
}
xfrm_delete() { sed 's/^/xfrm policy delete /' | ip -force -batch - 2>/dev/null; }
`;

const REMOVE_ALL = `nft -f - 2>/dev/null <<'END'
${REMOVE_NFT}END
  xfrm_listing | xfrm_delete`;

/** Nothing is protected: the guard of an earlier policy goes. */
const NONE = `watches=
${LIST_XFRM}load() {
  ${REMOVE_ALL}
  return 0
}
listing() {
  nft -s list table inet ${GUARD_TABLE} 2>/dev/null
  xfrm_listing
}
counters() { :; }
`;

function nftPart(scope: GuardScope): string {
  return `watches='nft monitor'
${LIST_XFRM}load() {
  nft -f - <<'END' || return 1
${renderNft(scope)}END
  xfrm_listing | xfrm_delete
  return 0
}
listing() { nft -s list table inet ${GUARD_TABLE} 2>/dev/null; }
counters() {
  for name in ${GUARD_COUNTERS.join(' ')}; do
    nft list counter inet ${GUARD_TABLE} $name 2>/dev/null | sed -n "s/.*packets \\([0-9]*\\) bytes.*/$name \\1/p"
  done
}
`;
}

function xfrmPart(scope: GuardScope): string {
  const policies = renderXfrm(scope);
  return `watches='ip xfrm monitor policy'
${LIST_XFRM}policies() {
  cat <<'END'
${policies.join('\n')}
END
}
load() {
  before=$(xfrm_listing)
  policies | sed '/./!d; s/^/xfrm policy update /' | ip -batch - || return 1
  [ "$1" = scratch ] && return 0
  nft -f - 2>/dev/null <<'END'
${REMOVE_NFT}END
  # What an earlier guard had and this one has not.
  expected=$(expectation)
  [ -n "$before" ] && printf '%s\\n' "$before" | while read -r one; do
    printf '%s\\n' "$expected" | grep -qxF "$one" || printf '%s\\n' "$one"
  done | xfrm_delete
  return 0
}
listing() { xfrm_listing; }
counters() { sed -n 's/^XfrmInPolBlock[ \\t]*/clear_in /p; s/^XfrmOutPolBlock[ \\t]*/clear_out /p' /proc/net/xfrm_stat 2>/dev/null; }
`;
}

/** The verbs. What should be there is found by loading it where nobody is: so no other version of nft or ip can look like a change. */
const COMMON = `expectation() {
  kept=$run/.guard-$id
  if [ ! -s "$kept" ]; then
    mkdir -p "$run" && unshare -n /bin/sh "$0" scratch >"$kept.$$" 2>/dev/null && mv -f "$kept.$$" "$kept"
    rm -f "$kept.$$"
  fi
  cat "$kept" 2>/dev/null
}
in_force() {
  for folder in "$trial" "$confirmed"; do
    if [ -f "$folder/${GUARD_SCRIPT}" ]; then printf '%s' "$folder/${GUARD_SCRIPT}"; return; fi
  done
}
case "$1" in
load) load ;;
remove)
  ${REMOVE_ALL}
  exit 0 ;;
scratch) load scratch && listing ;;
listing) listing ;;
counters) counters ;;
check)
  found=$(listing)
  if [ "$found" = "$(expectation)" ]; then echo ok
  elif [ -z "$found" ]; then echo missing; exit 1
  else echo altered; exit 1
  fi ;;
mend)
  [ "$(listing)" = "$(expectation)" ] && exit 0
  load && echo "the guard was missing or altered, and is back" ;;
reload)
  script=$(in_force)
  /bin/sh "$script" mend ;;
watch)
  mkdir -p "$run"
  echo $$ >"$run/guard-watch.pid"
  { [ -n "$watches" ] && $watches & while echo look; do sleep ${LOOK_SECONDS}; done; } 2>/dev/null |
    while read -r line; do
      case "$line" in
      look | *${GUARD_TABLE}* | *Deleted* | *Flushed* | *'priority 429496729'*)
        script=$(in_force)
        [ -z "$script" ] || /bin/sh "$script" mend ;;
      esac
    done ;;
*) echo "usage: guard load|mend|check|watch|reload|listing|counters|remove" >&2; exit 2 ;;
esac
`;
