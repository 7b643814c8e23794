#!/bin/sh
# First process of the emulated board: mounts, loads modules, names the consoles, then runs /scenario (a shell script; its exit
# status is the board's), gives a shell on the serial line (`shell` on the kernel command line), or obeys the control port.
#   /dev/virtio-ports/NAME   a file outside, one a console
#   vfio ADDRESS…            gives PCI functions to vfio-pci
#   card                     waits for the board's own sound card (its codec is found in the background)
#   board → outside          board: ready UPTIME | board: end STATUS UPTIME
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/ TERM=dumb
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/pts /dev/virtio-ports /tmp /run
mount -t devpts pts /dev/pts
for place in /dev/shm /tmp /run; do mount -t tmpfs tmpfs "$place"; done
mount -t debugfs debug /sys/kernel/debug
mount -t cgroup2 cgroup /sys/fs/cgroup
ln -s /proc/self/fd /dev/fd
ip link set lo up
uptime_s() { cut -d' ' -f1 /proc/uptime; }
while read -r module; do
    insmod "$module" || echo "board: insmod $module failed"
done < /etc/modules.order
ports=$(sed -n 's/.*\bports=\([0-9]*\).*/\1/p' /proc/cmdline)
until [ "$(cat /sys/class/virtio-ports/*/name 2> /dev/null | grep -c .)" -ge "${ports:-0}" ]; do sleep 0.02; done
for port in /sys/class/virtio-ports/*; do
    ln -s "/dev/${port##*/}" "/dev/virtio-ports/$(cat "$port/name")"
done
vfio() {
    for function in "$@"; do
        place=/sys/bus/pci/devices/$function
        [ -e "$place/driver" ] && echo "$function" > "$place/driver/unbind"
        echo vfio-pci > "$place/driver_override"
        echo "$function" > /sys/bus/pci/drivers_probe
        [ "$(basename "$(readlink "$place/driver")")" = vfio-pci ] || { echo "board: $function has no vfio-pci"; return 1; }
    done
}
card() {
    until [ -e /dev/snd/pcmC0D0p ]; do sleep 0.02; done
}
end() {
    echo "board: end $1 $(uptime_s)"
    poweroff -f
}
echo "board: ready $(uptime_s)"
if grep -qw shell /proc/cmdline; then
    setsid cttyhack sh
    end $?
fi
if [ -e /scenario ]; then
    ( . /scenario )
    end $?
fi
exec 3<> /dev/virtio-ports/control
job() {
    ( eval "$2" ) > "/tmp/out.$1" 2>&1 < /dev/null
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
        off) end 0 ;;
    esac
done
end 1
