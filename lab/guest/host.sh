#!/bin/sh
# Process 1 of a host: a host is a set of namespaces with an own /run, /tmp, /etc and /var (but for the observer, which stays in those
# of the guest). Makes them, says "ready", then runs the
# commands whose numbers it reads, one after the other: /mnt/command/$HOST.N, output beside it in .out; answers "N STATUS".
if [ "$HOST" != observer ]; then
  hostname "$HOST"
  mount -a -T /mnt/top/lab/guest/host.fstab
  # As the machine outside has them, but for what a host changes.
  ln -s /mnt/etc/* /etc/
  rm /etc/hosts /etc/strongswan.conf /etc/strongswan.d /etc/swanctl /etc/nftables.conf /etc/systemd /etc/sysctl.d
  cp -r /mnt/etc/strongswan.conf /mnt/etc/strongswan.d /mnt/etc/swanctl /mnt/etc/nftables.conf /mnt/etc/systemd /mnt/etc/sysctl.d /etc/
  ln -s /mnt/var/* /var/
  rm /var/lib /var/log /var/spool /var/cache
  mkdir /var/lib /var/log /var/spool /var/cache /run/lock
  ln -s /mnt/var/lib/* /var/lib/
  cp -r "/mnt/command/$HOST.files/." /
  # No wait for duplicate address detection: the addresses of a scenario are there at once.
  echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
  echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad
fi
cd /tmp || exit 1
echo ready
while read -r number; do
  (. "/mnt/command/$HOST.$number") </dev/null >"/mnt/command/$HOST.$number.out" 2>&1
  echo "$number $?"
done
