#!/bin/sh
# First process of a test guest: loads the modules, then obeys lines on the virtio port; with `shell` on the kernel command
# line it shows the sound cards and gives a shell on the console instead.
#   host → guest   run ID COMMAND…      (in the background, by sh)
#   guest → host   ready UPTIME | out ID TEXT | done ID STATUS UPTIME
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /tmp
mount -t tmpfs tmp /tmp
uptime_s() { cut -d' ' -f1 /proc/uptime; }
while read -r module; do
    insmod "$module" || echo "insmod $module failed"
done < /etc/modules.order
if grep -qw shell /proc/cmdline; then
    cat /proc/asound/cards
    setsid cttyhack sh
    poweroff -f
fi
until port=$(ls /dev/vport*p1 2> /dev/null); do sleep 0.02; done
exec 3<> "$port"
job() {
    sh -c "$2" > "/tmp/out.$1" 2>&1 < /dev/null
    status=$?
    # Not sed: a last line without an end would swallow the next.
    awk -v id="$1" '{ print "out " id " " $0 }' "/tmp/out.$1" >&3
    echo "done $1 $status $(uptime_s)" >&3
    rm -f "/tmp/out.$1"
}
echo "ready $(uptime_s)" >&3
while read -r verb id command <&3; do
    case "$verb" in
        run) job "$id" "$command" & ;;
        off) poweroff -f ;;
    esac
done
poweroff -f
