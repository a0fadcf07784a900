#!/usr/bin/env bash
# Makes a disk image of Debian 12, raw: a GPT, an EFI system partition with a boot
# loader, and a root file system. It has neither kernel nor cloud-init: what it is for
# is to be laid down and compared. Needs root, for the owners of files, and Debian's
# packages mmdebstrap, e2fsprogs, fdisk and mtools.
# Exit status 69: Debian could not be fetched.
set -euo pipefail
[ $# = 1 ] || { echo "usage: $0 FILE" >&2; exit 2; }
PATH=$PATH:/usr/sbin:/sbin
out=$1
work=$(mktemp -d)
trap 'rm -rf "$work" "$out.new"' EXIT

# No mount of mmdebstrap's is ever below a folder that is removed here: it makes its
# own, and hands over an archive.
mmdebstrap --quiet --mode=root --variant=minbase --include=systemd-boot-efi \
	--dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/man/*' \
	bookworm "$work/root.tar" || exit 69
mkdir "$work/root"
tar -C "$work/root" --numeric-owner --exclude='./dev/*' -xpf "$work/root.tar"

mib=$((1 << 20))
esp_at=1 esp=33 root_at=34 root=320 # MiB
truncate -s $(((root_at + root + 1) * mib)) "$out.new"
sfdisk --quiet "$out.new" <<TABLE
label: gpt
unit: sectors
start=${esp_at}MiB, size=${esp}MiB, type=uefi, name=esp
start=${root_at}MiB, size=${root}MiB, type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709, name=root
TABLE
mformat -i "$out.new@@${esp_at}M" -T $((esp * mib / 512)) -h 64 -s 32 -v ESP ::
mmd -i "$out.new@@${esp_at}M" ::/EFI ::/EFI/BOOT
mcopy -i "$out.new@@${esp_at}M" "$work/root/usr/lib/systemd/boot/efi/systemd-bootx64.efi" ::/EFI/BOOT/BOOTX64.EFI
mke2fs -q -F -t ext4 -b 4096 -L root -m 0 -d "$work/root" -E "offset=$((root_at * mib)),lazy_itable_init=0" "$out.new" ${root}m
mv "$out.new" "$out"
