#!/bin/sh
# First process of a guest on the board: mounts, loads modules, runs /scenario (a shell script), powers off.
#   guest → console   guest: up UPTIME | guest: end STATUS UPTIME
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/ TERM=dumb
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /tmp
mount -t tmpfs tmp /tmp
uptime_s() { cut -d' ' -f1 /proc/uptime; }
echo "guest: up $(uptime_s)"
while read -r module; do
    insmod "$module" || echo "guest: insmod $module failed"
done < /etc/modules.order
card() {
    tries=0
    until [ -e /dev/snd/pcmC0D0p ]; do
        sleep 0.05
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || { echo "guest: no sound card"; return 1; }
    done
}
( . /scenario )
echo "guest: end $? $(uptime_s)"
poweroff -f
