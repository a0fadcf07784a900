// Package guest is the operating system of a simulated node: what answers once the
// node has booted its disk.
//
// It looks like Debian 12 with cloud-init, sshd, sudo and a Docker engine. Like
// cloud-init it takes users, keys and host keys from the seed on the disk; like
// sshd it lets in whose public key stands in ~/.ssh/authorized_keys at that moment.
// What is typed runs in package shell over package vfs, so nothing of it reaches
// the host: there is no way from here to the host's files, programs or network.
//
// It knows as many programs as docker-machine's provisioning and a curious visitor
// need. The Docker engine runs no containers, but listens on its TLS port with the
// certificates that it was sent.
package guest
