package image

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

func TestWhereAnImageIsFetchedFromAfar(t *testing.T) {
	for address, want := range map[string]bool{
		"192.0.2.7:443": true, "10.0.0.7:80": true, "[2001:db8::7]:443": true, "[fd12::7]:443": true, "[64:ff9b::192.0.2.7]:443": true,
		"127.0.0.1:443": false, "127.9.9.9:80": false, "[::1]:443": false, "[::ffff:127.0.0.1]:443": false, "[64:ff9b::127.0.0.1]:80": false,
		"169.254.169.254:80": false, "[fe80::1%eth0]:80": false, "[fd00:ec2::254]:80": false, "100.100.100.200:80": false, "[64:ff9b::169.254.169.254]:80": false,
		"0.0.0.0:80": false, "[::]:80": false, "224.0.0.1:80": false, "[ff02::1]:80": false, "web:80": false,
	} {
		if err := reachableFromAfar(address); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestWhoIsAfarHasNothingFetchedFromThisHost(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer server.Close()
	for _, url := range []string{server.URL, strings.Replace(server.URL, "127.0.0.1", "localhost", 1)} {
		_, err := NewLibrary(t.TempDir()).Examine(core.AskedFromAfar(t.Context()), core.Image{Source: url + "/secret", SHA256: strings.Repeat("a", 64)}, nil)
		if !core.Is(err, core.Denied) || !strings.Contains(err.Error(), "for it alone") || !strings.Contains(err.Error(), "serve it elsewhere") {
			t.Errorf("%s: %v", url, err)
		}
	}
	if asked > 0 {
		t.Errorf("it was asked %d times", asked)
	}
}
