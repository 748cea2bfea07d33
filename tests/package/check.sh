#!/bin/bash
# Installs the package on a clean Debian that boots its own systemd, runs the service under the shipped unit, and takes it off again.
#
#   sudo tests/package/check.sh target/packages/perennial_*.deb [FOLDER]
#
# Needs debootstrap and systemd-nspawn (Debian: debootstrap, systemd-container), root, and a mirror of Debian. The Debian root is
# made in FOLDER (some 400 MB) and made once: later runs copy it. Prints a line for each thing that holds, and ends with 1 at the first
# that does not.
set -euo pipefail

here=$(realpath "$(dirname "$0")")
repository=$(realpath "$here/../..")
package=$(realpath "$1")
folder=$(realpath -m "${2:-$repository/target/package-check}")
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
include=systemd,systemd-sysv,dbus,ca-certificates,curl,python3,libstdc++6,libgcc-s1

mkdir -p "$folder"
clean=$folder/clean
root=$folder/root
if [ ! -e "$clean/etc/debian_version" ]; then
    rm -rf "$clean.part"
    debootstrap --variant=minbase --include=$include bookworm "$clean.part" "$mirror" > "$folder/debootstrap.log"
    mv "$clean.part" "$clean"
fi
rm -rf "$root"
cp -a "$clean" "$root"

# What it is tried with: the package, the same one with a higher version, a small model, rows, and plugins that were built here.
mkdir -p "$root/try/plugins"
cp "$package" "$root/try/perennial.deb"
cp "$here/inside.sh" "$root/try/"
cp -r "$repository/tests/goldens/tiny" "$root/try/model"
cp "$repository"/config/examples/demo/*.jsonl "$root/try/"
find "$repository/plugins" -maxdepth 2 -name '*.wasm' -exec cp -t "$root/try/plugins" {} +
unpacked=$(mktemp -d)
dpkg-deb -R "$package" "$unpacked/next"
sed -i 's/^Version: .*/&+next/' "$unpacked/next/DEBIAN/control"
dpkg-deb --root-owner-group -Znone -b "$unpacked/next" "$root/try/next.deb" > /dev/null
rm -r "$unpacked"

systemd-nspawn --quiet --register=no --keep-unit --private-network --boot --directory "$root" > "$folder/boot.log" 2>&1 &
nspawn=$!
stop() {
    [ -n "${leader:-}" ] && kill -s RTMIN+4 "$leader" 2> /dev/null
    timeout 30 tail --pid=$nspawn -f /dev/null || kill -9 $nspawn
}
trap stop EXIT
for _ in $(seq 60); do
    leader=$(pgrep -P $nspawn | head -1) && nsenter --target "$leader" --all systemctl is-system-running 2> /dev/null |
        grep -q -E 'running|degraded' && break
    sleep 1
done
nsenter --target "$leader" --all /bin/bash /try/inside.sh
