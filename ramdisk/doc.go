// Package ramdisk is what real servers start to be deployed and erased: one boot
// ISO for all of them, made by "make ramdisk".
//
// Where things are:
//
//   - build makes the ISO: Debian's kernel, modules and firmware, our init, put
//     together as one program for UEFI firmware on a FAT file system that El Torito
//     points at. Besides it there are a version and the parameter area, which is
//     patched for each boot while the ISO is served (core/deploy/bootmedia).
//   - debian fetches the packages; efi makes the program and its file system; kmod
//     is the modules' index, which build writes and init reads.
//   - init is the first program in memory: it loads drivers, finds the media by its
//     label, sets up the network, and runs the agent (package agent) on the machine that
//     agent/metal puts together. The only other one is BusyBox, as Debian links it
//     statically: it runs the operators' scripts (agent/script), 2 MiB for those who
//     have any.
//   - netconf decides about the network and sets it up.
//
// The order of a boot: firmware, kernel, /init, drivers for what is there until
// nothing new appears, media, network, check-in. What goes on is said on every
// console, the serial one among them, and the engine can fetch it from the agent.
//
// The kernel ignores the power button: nobody is told of it here. A server whose
// operator asks for a graceful shutdown while it is erased goes on erasing.
package ramdisk
