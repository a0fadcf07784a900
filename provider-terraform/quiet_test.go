package main

import "testing"

// What terraform would throw away is not written; who asks for any of it gets it.
func TestLogAsked(t *testing.T) {
	ask := func(name string) bool {
		return logAsked(func(read string) string { return map[string]string{name: "trace"}[read] })
	}
	for name, want := range map[string]bool{
		"TF_LOG": true, "TF_LOG_PROVIDER": true, "TF_LOG_PROVIDER_METALPOOL": true, "TF_LOG_SDK_PROTO": true,
		"TF_LOG_CORE": false, "TF_LOG_PATH": false, "": false,
	} {
		if got := ask(name); got != want {
			t.Errorf("with %s set: %v, want %v", name, got, want)
		}
	}
}
