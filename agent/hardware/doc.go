// Package hardware tells what a Linux machine is and is made of, but for its disks:
// from /sys and /proc below a root that tests replace, in the words that its BMC uses
// for the same things. What cannot be told is left empty.
package hardware
