// Package installed is a virtual machine whose disk already holds an image and a
// seed, as metalpool leaves it. Metalpool has no part in it: tests see in it what an
// image does by itself, and benches how long the same OS takes when nothing is
// deployed.
//
//	disk.go      the image and the seed
//	kernel.go    what the image's boot loader would start
//	machine.go   QEMU, and SSH into what runs in it
package installed
