// Package shell is the shell of a simulated machine: enough of POSIX sh and bash
// to run what provisioning tools and people send over SSH.
//
// It parses and expands with mvdan.cc/sh, but walks the tree itself. The
// interpreter of that library is made for the host: cd and test ask the host's
// access(2), type and source search the host's PATH, process substitution makes
// FIFOs in the host's /tmp, read -s reads the host's terminal, and an odd
// redirection panics in a goroutine, which would end a lab of a thousand nodes.
// Here files come from a vfs.View, programs from the System, and nothing else
// exists. What is not supported says so and fails.
package shell
