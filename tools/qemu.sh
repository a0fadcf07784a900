#!/usr/bin/env bash
# Installs QEMU and its UEFI firmware for `metalpool lab up --vm`, or says what to install.
set -euo pipefail
firmware() {
	for f in /usr/share/{OVMF/OVMF_CODE_4M,edk2/ovmf/OVMF_CODE,edk2/x64/OVMF_CODE.4m,qemu/edk2-x86_64-code}.fd /usr/share/qemu/ovmf-x86_64-4m-code.bin; do
		[ ! -e "$f" ] || return 0
	done
	return 1
}
installed() { command -v qemu-system-x86_64 >/dev/null && firmware; }
installed && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "QEMU or its UEFI firmware is not installed; as root on Debian: apt-get install qemu-system-x86 ovmf" >&2
	exit 1
fi
# The lock is that of the tests' helper: apt-get does not wait for the one on its lists.
(
	flock 8
	export DEBIAN_FRONTEND=noninteractive
	install=(apt-get -q install -y --no-install-recommends -o DPkg::Lock::Timeout=300 qemu-system-x86 ovmf)
	"${install[@]}" || { apt-get -q update && "${install[@]}"; }
) 8>"${TMPDIR:-/tmp}/metalpool-apt.lock" >&2
installed || { echo "QEMU is installed, and its UEFI firmware is not where distributions have it" >&2; exit 1; }
