// Package attached finds the processes that were started with a pool in their
// environment: plugins, which outlive docker-machine for seconds, and workers, which
// outlive every command. Tests leave none behind.
package attached

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// To lists the processes, other than this one, that have the pool's URL.
func To(url string) []int {
	var found []int
	environments, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, name := range environments {
		environment, err := os.ReadFile(name)
		has := func(name string) bool { return bytes.Contains(environment, []byte(name+"="+url+"\x00")) }
		if err != nil || !has("METALPOOL_URL") && !has("METALPOOL_WORKER") {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil && pid != os.Getpid() {
			found = append(found, pid)
		}
	}
	return found
}

// End kills them, and returns once none is left.
func End(url string) {
	for {
		pids := To(url)
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		<-time.After(10 * time.Millisecond)
	}
}
