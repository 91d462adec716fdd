#!/bin/sh
# Process 1 of a guest, whichever kernel it runs: makes a system of the read-only root, then hands over to the program that runs the
# scenarios. What is said here goes to guest.log of the work folder.
#
# /mnt holds what hosts share: top (the checkout), work (the work folder, shared with the outside), node, program, and etc and var as
# the machine outside has them.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C.UTF-8
export PATH LC_ALL

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs -o mode=755 lab /mnt
mkdir /mnt/top /mnt/work /mnt/etc /mnt/var /mnt/node /mnt/command /mnt/program /mnt/modules
case $lab_machine in
  uml) mount -t hostfs none /mnt/work -o "$lab_work" ;;
  qemu) mount -t virtiofs work /mnt/work ;;
esac
exec >/mnt/work/guest.log 2>&1

# Whatever happens: the guest ends in time.
(sleep "$lab_limit"; echo 'init: time is up'; echo o >/proc/sysrq-trigger) &

mount --bind "$lab_top" /mnt/top
mount --bind "$(dirname "$lab_node")" /mnt/node
mount --bind /etc /mnt/etc
mount --bind /var /mnt/var
cp -r /mnt/work/program/. /mnt/program
mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs -o mode=1777 tmp /tmp
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd

modules='esp4 esp6 xfrm_user authenc gcm ctr seqiv echainiv veth bridge dummy'
case $lab_machine in
  uml)
    # Its modules are not where modprobe looks, and the kernel asks for more of them by itself.
    mkdir -p /mnt/modules/lib
    ln -s /usr/lib/uml/modules /mnt/modules/lib/modules
    printf '#!/bin/sh\nexec /sbin/modprobe -d /mnt/modules "$@"\n' >/mnt/modules/modprobe
    chmod 755 /mnt/modules/modprobe
    echo /mnt/modules/modprobe >/proc/sys/kernel/modprobe
    # shellcheck disable=SC2086 # a list of words
    modprobe -d /mnt/modules -a $modules
    ;;
  qemu)
    # shellcheck disable=SC2086
    modprobe -a $modules nf_tables nft_xfrm nft_ct nft_limit
    ;;
esac
ip link set lo up
# A cipher that is in use stays instantiated: without this state the first association of every host takes 0.6 s.
ip netns add spare
ip -n spare xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 1 mode transport \
  aead 'rfc4106(gcm(aes))' 0x000102030405060708090a0b0c0d0e0f10111213 128

"/mnt/node/$(basename "$lab_node")" "/mnt/program/$lab_program" </dev/null
echo "init: the program ended with $?"
sync
echo o >/proc/sysrq-trigger
sleep 60
