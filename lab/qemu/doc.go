// Package qemu runs one server as a QEMU process with UEFI firmware.
//
// A process is one start of the firmware: it ends when its system powers off,
// restarts, or is killed, and the caller starts another one, with what that is to
// boot. So what boots is an argument of the process, never a setting to be taken
// back. The process ends with the program that started it, however that ends.
package qemu
