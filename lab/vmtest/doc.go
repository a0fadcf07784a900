// Package vmtest has the faults of real machines happen to virtual ones: firmware,
// boot media, the real ramdisk, disks, and as OS the one of package lab/tinyos. The
// engine, its store and the BMCs are the real ones, too. `make test-vm` runs it.
//
// What goes wrong, and the test in which it does; those of other packages are named
// with them:
//
//	the power is cut in the lay-down,
//	  before kexec, and in the erase    TestVMPowerCut/during
//	  in the commits after these        TestVMPowerCut/behind, which is in the middle of kexec, too
//	the network is cut and comes back   TestVMAgent/a network that is cut and comes back
//	the engine is killed                TestVMAgent/an engine that is killed, and another process
//	two agents have one token           TestVMAgent/a second agent with the same token
//	  an agent is refused               ramdisk: TestVMRamdiskRefusedTurnsOff
//	a chunk is corrupt                  TestVMImage/chunks that are corrupt whenever they arrive, and then one that is once
//	the disk is too small               TestVMImage/an image that is larger than the disk
//	the disk fails on write             TestVMImage/a disk that fails on write, and then in the erase
//	a disk has gone                     ramdisk: TestVMErase
//	DHCP does not answer                TestVMNoSignOfLife/no DHCP server answers
//	DHCP gives the OS another address   TestVMImage/a DHCP server that gives the OS another address
//	the OS does not start by kexec      TestVMImage/an OS whose kernel does not kexec, /an OS that hangs after kexec;
//	                                    ramdisk: TestVMNoKernelForKexec
//	the image has no cloud-init         TestVMImage/an image without cloud-init
//	the machine never gets through POST TestVMNoSignOfLife/it never gets through POST
//	media of somebody else are in it,
//	  and no other slot is free         TestVMMediaOfSomebodyElse
//
// The same faults, and more of them, happen to simulated machines in the tests of
// packages core and lab, at every call of the store and of the BMC.
package vmtest
