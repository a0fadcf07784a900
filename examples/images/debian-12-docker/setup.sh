#!/bin/sh
# Runs in the new system once its packages are installed.
set -eu
kernel=$(ls /lib/modules)

# docker-machine starts /usr/bin/dockerd.
ln -s ../sbin/dockerd /usr/bin/dockerd

# A root without password, as it came: nobody logs in as root.
passwd --quiet --lock root

# With the seed's one data source there is nothing to find out: cloud-init always runs.
mkdir -p /etc/systemd/system-generators
ln -s /dev/null /etc/systemd/system-generators/cloud-init-generator
ln -s /lib/systemd/system/cloud-init.target /etc/systemd/system/multi-user.target.wants/cloud-init.target

systemctl --quiet enable systemd-networkd.service systemd-resolved.service
systemctl --quiet disable apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service
# It never has anything to do, but loads two modules first.
systemctl --quiet mask systemd-repart.service

# kernel-install fills the EFI system partition, now and at each update.
SYSTEMD_LOG_LEVEL=crit update-initramfs -c -k "$kernel"
kernel-install add "$kernel" "/boot/vmlinuz-$kernel" "/boot/initrd.img-$kernel"
# It takes the partition for a folder, since it is not mounted.
sed -i 's| /boot/efi/| /|' /boot/efi/loader/entries/*.conf
mkdir -p /boot/efi/EFI/BOOT /boot/efi/EFI/systemd
cp /usr/lib/systemd/boot/efi/systemd-bootx64.efi /boot/efi/EFI/systemd/
cp /usr/lib/systemd/boot/efi/systemd-bootx64.efi /boot/efi/EFI/BOOT/BOOTX64.EFI
echo 'timeout 0' >/boot/efi/loader/loader.conf

# What served the making. (/tmp is mmdebstrap's until it is done.)
rm -f /etc/dpkg/dpkg.cfg.d/99mmdebstrap

# What each server must make for itself.
rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id /var/lib/systemd/random-seed
: >/etc/machine-id

# Nothing is to be brought up to date at the first boot.
rm -rf /var/log/*.log /var/log/apt /var/cache/debconf/*-old /var/lib/dpkg/*-old
touch -r /usr /etc/.updated /var/.updated
