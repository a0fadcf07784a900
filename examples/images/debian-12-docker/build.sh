#!/usr/bin/env bash
# Makes the image: a raw disk with a GPT, an EFI system partition and a root file
# system. Without loop mounts; as root, or as a user with subordinate IDs (see
# README.md). FIRMWARE=1 adds what many network cards load at boot.
#
#   build.sh FILE       makes it
#   build.sh packages   tells with which versions, which takes seconds
#
# Exit status 69: Debian could not be fetched.
set -euo pipefail
[ $# = 1 ] || { echo "usage: $0 FILE | packages" >&2; exit 2; }
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C
recipe=$(cd "$(dirname "$0")" && pwd)

# MiB: an EFI system partition for several kernels, and a root file system that
# grows at the first boot.
esp_at=1 esp=256
root_at=$((esp_at + esp)) root=1500

list() { sed 's/#.*//' "$@" | xargs | tr ' ' ,; }
debian=(mmdebstrap --quiet --variant=minbase --dpkgopt=force-unsafe-io --dpkgopt="$recipe/files/etc/dpkg/dpkg.cfg.d/lean")
if [ "${FIRMWARE:-}" ]; then
	debian+=(--components=main,non-free-firmware --include="$(list "$recipe/packages" "$recipe/firmware-packages")")
else
	debian+=(--include="$(list "$recipe/packages")")
fi

if [ "$1" = packages ]; then
	"${debian[@]}" --verbose --simulate bookworm /dev/null 2>&1 | sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1 \2/p' | sort -u | grep . || exit 69
	exit
fi

# Whose files these are, only root can say, or who is root in a namespace.
as_root=()
[ "$(id -u)" = 0 ] || as_root=(unshare --user --map-root-user --map-auto)

out=$1
work=$(mktemp -d)
trap '"${as_root[@]}" rm -rf "$work" "$out.new"' EXIT
uuid() { cat /proc/sys/kernel/random/uuid; }
esp_id=$(uuid) root_id=$(uuid)

# What the recipe adds belongs to root in the system, whoever has the recipe.
cp -r "$recipe/files" "$work/files"
echo "root=PARTUUID=$root_id rw console=tty0 console=ttyS0,115200 loglevel=5 systemd.gpt_auto=0" >"$work/files/etc/kernel/cmdline"
cat >"$work/files/etc/fstab" <<TABLE
PARTUUID=$root_id / ext4 errors=remount-ro 0 1
PARTUUID=$esp_id /boot/efi vfat umask=0077,nofail,x-systemd.automount,x-systemd.idle-timeout=1min 0 0
TABLE
mkdir -p "$work/files/boot/efi"
tar -C "$work/files" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX -cf "$work/files.tar" .

# The system, as an archive: it keeps the owners of its files whoever we are, and no
# mount of mmdebstrap's is ever below a folder that is removed here. Only setup.sh
# makes the initramfs, once.
INITRD=No "${debian[@]}" \
	--setup-hook="tar-in '$work/files.tar' /" \
	--customize-hook="copy-in '$recipe/setup.sh' /" --customize-hook='chroot "$1" /setup.sh' --customize-hook='rm "$1/setup.sh"' \
	bookworm "$work/root.tar" || exit 69

mib=$((1 << 20))
truncate -s $(((root_at + root + 1) * mib)) "$out.new"
sfdisk --quiet "$out.new" <<TABLE
label: gpt
unit: sectors
start=${esp_at}MiB, size=${esp}MiB, type=uefi, name=esp, uuid=$esp_id
start=${root_at}MiB, size=${root}MiB, type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709, name=root, uuid=$root_id
TABLE
"${as_root[@]}" bash -euo pipefail -s "$work" "$out.new" $((root_at * mib)) ${root}m <<'ROOT'
work=$1 out=$2 offset=$3 size=$4
mkdir "$work/root"
tar -C "$work/root" --numeric-owner --exclude='./dev/*' -xpf "$work/root.tar"
cp -r "$work/root/boot/efi" "$work/esp"
rm -rf "$work"/root/boot/efi/*
ln -sf ../run/systemd/resolve/stub-resolv.conf "$work/root/etc/resolv.conf"
mke2fs -q -F -t ext4 -b 4096 -L root -m 1 -d "$work/root" -E "offset=$offset,lazy_itable_init=0" "$out" "$size"
rm -rf "$work/root"
ROOT
# Clusters of 2 KiB: enough of them for FAT32, which firmware wants.
mformat -i "$out.new@@${esp_at}M" -F -c 4 -T $((esp * mib / 512)) -h 64 -s 32 -v ESP ::
mcopy -s -i "$out.new@@${esp_at}M" "$work"/esp/* ::
mv "$out.new" "$out"
