// Package disk is the agent's view of a Linux machine's block devices: which there
// are and what a BMC calls them, I/O past the page cache, and the ladder of erase
// methods from the most thorough down.
//
// What is there is read from /sys below a root that tests replace. What a device
// says of itself, VPD pages and identify data, is never believed before its size is
// checked: a disk may be broken, or an owner may have reprogrammed it. Which erase
// method to try is a pure decision over these facts; only commands go to a device.
package disk
