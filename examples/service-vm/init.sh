#!/bin/sh
# First process of the audio service VM. What a chime needs comes first: sound driver, configuration, audiod; then the bus, and
# last the hook of the configuration.
#   /etc/carillon/            system.toml, chimes, rc (a shell script): in the image, or on the read-only disk config=/dev/vda
#   /etc/carillon/bus-ports   `PORT USER` a line: the vsock port of a guest that may use the bus, and as whom (the file's [access]
#                             says what that user may); the port is the user's number, too
#   /var/lib/carillon/        what outlives a boot (system.toml: state = "/var/lib/carillon/state"): the ext4 disk state=/dev/vdb
#   /etc/modules.order        modules: those of the first part, an empty line, those of the state's disk, an empty line, the others
#   /run/carillon/doorbell    memory of the doorbell, if this VM has one
# On the console: service: core UPTIME | service: ready UPTIME | service: end STATUS UPTIME
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/ TERM=dumb
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /run /tmp
for place in /dev/shm /run /tmp; do mount -t tmpfs tmpfs "$place"; done
uptime_s() { cut -d' ' -f1 /proc/uptime; }
exec 4< /etc/modules.order
load() {
    while read -r module <&4 && [ -n "$module" ]; do
        insmod "$module" || echo "service: insmod $module failed"
    done
}
# SIGTERM is audiod's chance to write its state.
end() {
    echo "service: end $1 $(uptime_s)"
    if [ -n "$state" ] && [ -n "$core" ]; then
        kill "$core"
        killall -TERM audiod
        n=0
        while pidof audiod > /dev/null && [ "$n" -lt 40 ]; do
            n=$((n + 1))
            sleep 0.05
        done
        umount /var/lib/carillon
    fi
    sync
    poweroff -f
}
named() { sed -n "s/.*\\b$1=\\(\\S*\\).*/\\1/p" /proc/cmdline; }
load
disk=$(named config)
if [ -n "$disk" ]; then
    mount -t tmpfs tmpfs /etc/carillon
    (cd /etc/carillon && cpio -id < "$disk" 2> /dev/null) || end 5
fi
buses=/etc/carillon/bus-ports
[ -e "$buses" ] || buses=/dev/null
while read -r port user; do
    echo "$user:x:$port:$port::/:/bin/false" >> /etc/passwd
    echo "$user:x:$port:" >> /etc/group
done < "$buses"
state=$(named state)
if [ -n "$state" ]; then
    load
    mkdir -p /var/lib/carillon
    mount -t ext4 "$state" /var/lib/carillon || echo "service: $state is no ext4 disk: no state outlives this boot"
    chown audiod:audiod /var/lib/carillon
else
    while read -r module <&4 && [ -n "$module" ]; do :; done
fi
if ! grep -qw nocard /proc/cmdline; then
    until [ -e /dev/snd/pcmC0D0p ]; do sleep 0.01; done
    chgrp audio /dev/snd/*
    chmod 660 /dev/snd/*
fi
mkdir /run/carillon
chown audiod:audiod /run/carillon
windows() {
    for dax in /sys/bus/dax/devices/dax*; do
        [ -e "$dax" ] && echo "${dax##*/}" > /sys/bus/dax/drivers/device_dax/new_id
    done
    for function in /sys/bus/pci/devices/*; do
        if [ "$(cat "$function/vendor" "$function/device" | tr '\n' ' ')" = '0x1af4 0x10fd ' ]; then
            echo 1 > "$function/enable"
            ln -s "$function/resource0" /run/carillon/doorbell
        fi
    done
}
# Windows are opened at audiod's start.
if grep -q window /etc/carillon/system.toml; then
    load
    windows
fi
ulimit -l unlimited
mkfifo /run/ready
core() {
    # A daemon that ends is started again: its state is in its blocks' files, its guests reconnect.
    while true; do
        audiod run /etc/carillon/system.toml --ready-fd 5 5<> /run/ready
        echo "service: audiod ended with $? $(uptime_s)"
        sleep 0.1
    done
}
core &
core=$!
until read -r line < /run/ready && [ -n "$line" ]; do sleep 0.01; done
echo "service: core $(uptime_s)"
load
exec 4<&-
ip link set lo up
# Where guests come to the bus, it goes by the file's roles; without roles they stay away.
if [ -s "$buses" ]; then
    if audiod bus-policy /etc/carillon/system.toml > /run/policy; then
        mv /run/policy /etc/dbus-1/org.genivi.audiomanager.conf
    else
        echo "service: no guest gets to the bus"
        buses=/dev/null
    fi
fi
dbus-daemon --config-file=/etc/dbus-1/bus.conf --nofork --nopidfile &
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/bus
n=0
until audioctl status --bus system > /dev/null 2>&1; do
    n=$((n + 1))
    [ "$n" -gt 100 ] && echo "service: audiod has not taken its name on the bus" && break
    sleep 0.05
done
while read -r port user; do
    bus-port --keep --listen "vsock:$port" --from 2 --bus /run/bus --user "$user" &
done < "$buses"
echo "service: ready $(uptime_s)"
if [ -e /etc/carillon/rc ]; then
    ( . /etc/carillon/rc )
    end $?
fi
while true; do wait; sleep 1; done
