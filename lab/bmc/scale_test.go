package bmc

import (
	"crypto/tls"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A lab of 1,000 nodes may use 100 MiB while idle: a BMC must cost a small part
// of the 100 KiB that are there for each node.
func TestIdleBMCsAreLight(t *testing.T) {
	const n, each = 200, 40 << 10
	certificate, key, err := NewCertificate("bmc.test", net.IPv4(127, 0, 0, 1))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
	}}
	goroutines, before := runtime.NumGoroutine(), heap()
	servers := make([]*Server, n)
	for i := range servers {
		b, err := New(Config{Machine: &server{state: Off, facts: testFacts}, User: testUser, Password: testPassword, Manners: vendors[i%len(vendors)]})
		if err != nil {
			t.Fatal(err)
		}
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		servers[i] = Serve(b, l, pair)
		defer servers[i].Close()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, servers[i].URL()+"/redfish/v1/", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("BMC %d: %v, error %v", i, response, err)
		}
		response.Body.Close()
	}
	r := &rig{t: t}
	r.eventually("each BMC is down to its listener's goroutine", func() bool { return runtime.NumGoroutine() <= goroutines+n })
	if cost := (heap() - before) / n; cost > each {
		t.Errorf("an idle BMC costs %d bytes of heap, more than %d", cost, each)
	}
	runtime.KeepAlive(servers)
}

func TestManyClientsAtOnce(t *testing.T) {
	r := newRig(t, nil)
	var inserted atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		client := r.newClient()
		send := func(method, path, body string) int {
			response, err := client.Do(r.newRequest(method, path, body))
			if err != nil {
				t.Errorf("%s %s: %v", method, path, err)
				return 0
			}
			defer response.Body.Close()
			return response.StatusCode
		}
		all.Go(func() {
			for range 10 {
				if send("POST", r.slotPath(0)+insertAction, insertBody(r.images.image())) == 204 {
					inserted.Add(1)
				}
				send("PATCH", r.sys(), bootPXE)
				send("POST", r.sys()+resetAction, turnOnBody)
				send("GET", r.sys(), "")
				send("GET", r.slotPath(0), "")
				send("POST", sessionsPath, `{"UserName":"admin","Password":"correct horse"}`)
				send("POST", r.sys()+resetAction, `{"ResetType":"ForceOff"}`)
			}
		})
	}
	all.Wait()
	if got := inserted.Load(); got != 1 {
		t.Errorf("%d inserts into one slot succeeded", got)
	}
	if got := len(r.bmc.Sessions()); got != 16 {
		t.Errorf("%d sessions are open", got)
	}
	// One after the other, whoever asked: on is always followed by off.
	if got := strings.ReplaceAll(r.machine.log()+" ", "on off ", ""); got != "" {
		t.Errorf("the machine got two calls of one kind in a row: %q", r.machine.log())
	}
}

// A planned set of faults must be one that a client can work through, by
// reading back what it did and trying again.
func TestAPatientClientWorksThroughAPlan(t *testing.T) {
	for seed := range uint64(20) {
		r := newRig(t, nil)
		for _, f := range Plan(seed, 8, 10*time.Millisecond, false) {
			r.fault(f)
		}
		system := func() map[string]any { return r.readBack(r.sys()) }
		slot := func() map[string]any { return r.readBack(r.slotPath(0)) }
		boot := func() any {
			b, _ := system()["Boot"].(map[string]any)
			return b["BootSourceOverrideTarget"]
		}
		rounds := 0
		for ; rounds < 20 && !r.bootedMedia(); rounds++ {
			r.pass(time.Second)
			r.until("POST", r.sys()+resetAction, `{"ResetType":"ForceOff"}`, func() bool { return system()["PowerState"] == "Off" })
			r.until("POST", r.slotPath(0)+ejectAction, `{}`, func() bool { return slot()["Inserted"] == false })
			r.until("POST", r.slotPath(0)+insertAction, insertBody(r.images.image()), func() bool { return slot()["Inserted"] == true })
			r.until("PATCH", r.sys(), `{"Boot":{"BootSourceOverrideTarget":"Cd","BootSourceOverrideEnabled":"Once"}}`, func() bool { return boot() == "Cd" })
			r.until("POST", r.sys()+resetAction, turnOnBody, func() bool { return system()["PowerState"] == "On" })
		}
		if rounds == 20 {
			t.Errorf("seed %d: never booted from media; faults %+v", seed, r.bmc.Faults().List())
		}
	}
}

func (r *rig) bootedMedia() bool {
	r.machine.mu.Lock()
	defer r.machine.mu.Unlock()
	n := len(r.machine.boots)
	return n > 0 && r.machine.boots[n-1].Source == FromMedia
}

// readBack reads a resource, or nothing where that fails.
func (r *rig) readBack(path string) map[string]any {
	a, err := r.try("GET", path, "")
	if err != nil || !strings.Contains(string(a.body), `"@odata.type"`) {
		return nil
	}
	return a.json()
}

// until sends a request, whatever is answered, until what it is for is so.
func (r *rig) until(method, path, body string, is func() bool) {
	for range 20 {
		if is() {
			return
		}
		_, _ = r.try(method, path, body)
	}
}
