#!/bin/sh
# Process 1 of a host: a host is a set of namespaces with an own /run, /tmp, /etc and /var (but for the observer, which stays in those
# of the guest). Makes them, says "ready", then runs the commands whose numbers it reads, one after the other: /mnt/command/$HOST.N,
# output beside it in .out; answers "N STATUS".
if [ "$HOST" != observer ]; then
  hostname "$HOST"
  mount -a -T /mnt/top/lab/guest/host.fstab
  # These two outlive a reboot of the host.
  disk=/mnt/command/$HOST.disk
  if [ ! -d "$disk" ]; then
    mkdir -p "$disk/etc" "$disk/var/lib" "$disk/var/log" "$disk/var/spool" "$disk/var/cache"
    # As the machine outside has them, but for what a host changes.
    ln -s /mnt/etc/* "$disk/etc/"
    ln -s /mnt/var/lib/* "$disk/var/lib/"
    ln -s /mnt/var/run /mnt/var/lock /mnt/var/mail "$disk/var/"
    cd /mnt/etc || exit 1
    own='hosts strongswan.conf strongswan.d swanctl nftables.conf systemd sysctl.d'
    # shellcheck disable=SC2086 # a list of words
    (cd "$disk/etc" && rm $own) && cp -r $own "$disk/etc/"
  fi
  if [ -d "/mnt/command/$HOST.files" ]; then
    cp -r "/mnt/command/$HOST.files/." "$disk/"
    rm -r "/mnt/command/$HOST.files"
  fi
  mount --bind "$disk/etc" /etc
  mount --bind "$disk/var" /var
  # Every boot has a name of its own.
  read -r boot </proc/sys/kernel/random/uuid
  echo "$boot" >"/mnt/command/$HOST.boot-id"
  mount --bind "/mnt/command/$HOST.boot-id" /proc/sys/kernel/random/boot_id
  mkdir /run/lock
  # No wait for duplicate address detection: the addresses of a scenario are there at once.
  echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
  echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad
  # What the system starts before the network.
  if [ -f /etc/lab/boot ] && [ "$LAB_BOOT" != network-first ]; then sh /etc/lab/boot; fi
fi
cd /tmp || exit 1
echo ready
while read -r number; do
  (. "/mnt/command/$HOST.$number") </dev/null >"/mnt/command/$HOST.$number.out" 2>&1
  echo "$number $?"
done
