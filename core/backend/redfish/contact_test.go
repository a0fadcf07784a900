package redfish_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/backend/redfish"
	"github.com/metalpool/metalpool/lab/bmc"
)

func inspect(t *testing.T, e core.Endpoint) (core.Inspection, error) {
	t.Helper()
	b, err := newConnector().Connect(t.Context(), e, password, nil)
	if err != nil {
		return core.Inspection{}, err
	}
	defer b.Close()
	return b.Inspect(t.Context())
}

func TestTrust(t *testing.T) {
	r := newRig(t, nil)
	other := newRig(t, nil)
	ca := func(r *rig) string {
		dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
		conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(r.endpoint.URL, "https://"))
		must(t, "dial", err)
		defer conn.Close()
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw}))
	}
	right, wrong := r.endpoint.TLS.Fingerprint, other.endpoint.TLS.Fingerprint
	for _, c := range []struct {
		name string
		tls  core.TLSCheck
		kind core.Kind
		says []string
	}{
		{"the recorded fingerprint", core.TLSCheck{Fingerprint: right}, "", nil},
		{"the same, spelled with colons", core.TLSCheck{Fingerprint: strings.ToUpper(colons(right))}, "", nil},
		{"another fingerprint", core.TLSCheck{Fingerprint: wrong}, core.Denied, []string{wrong, right, "accept it with 'metalpool node set n1 --fingerprint " + right + "'"}},
		{"its CA", core.TLSCheck{CA: ca(r)}, "", nil},
		{"another CA", core.TLSCheck{CA: ca(other)}, core.Denied, []string{"not trusted"}},
		{"the host's CAs", core.TLSCheck{}, core.Denied, []string{"not trusted", "--fingerprint"}},
		{"nothing, explicitly", core.TLSCheck{Insecure: true}, "", nil},
		{"a fingerprint even where insecure is set", core.TLSCheck{Fingerprint: wrong, Insecure: true}, core.Denied, nil},
		{"no fingerprint", core.TLSCheck{Fingerprint: "abc"}, core.Invalid, []string{"SHA-256"}},
		{"no CA", core.TLSCheck{CA: "hello"}, core.Invalid, []string{"no certificate"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.bmc.ResetTraffic()
			e := r.endpoint
			e.Node, e.TLS = "n1", c.tls
			_, err := inspect(t, e)
			if c.kind == "" {
				must(t, "inspect", err)
				return
			}
			wantKind(t, err, c.kind, c.says...)
			if n := r.bmc.Traffic().Requests; n != 0 {
				t.Errorf("%d requests, and so the password, went to a BMC that is not trusted", n)
			}
		})
	}
}

func colons(fingerprint string) string {
	var parts []string
	for i := 0; i < len(fingerprint); i += 2 {
		parts = append(parts, fingerprint[i:i+2])
	}
	return strings.Join(parts, ":")
}

func TestFingerprint(t *testing.T) {
	r := newRig(t, nil)
	got, err := r.connector.Fingerprint(t.Context(), r.endpoint.URL)
	if err != nil || got != r.endpoint.TLS.Fingerprint {
		t.Errorf("fingerprint is %s, %v; want %s", got, err, r.endpoint.TLS.Fingerprint)
	}
	if n := r.bmc.Traffic().Requests; n != 0 {
		t.Errorf("%d requests were made", n)
	}
	_, err = r.connector.Fingerprint(t.Context(), "https://"+closedPort(t))
	wantKind(t, err, core.Transient, "no contact", "connection refused")
	_, err = r.connector.Fingerprint(t.Context(), "http://127.0.0.1")
	wantKind(t, err, core.Invalid)
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	_, err = r.connector.Fingerprint(t.Context(), strings.Replace(plain.URL, "http:", "https:", 1))
	wantKind(t, err, core.Backend, "does not speak TLS")
}

// closedPort is an address of this host where nobody listens.
func closedPort(t *testing.T) string {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, "listen", err)
	defer l.Close()
	return l.Addr().String()
}

func TestURL(t *testing.T) {
	for _, c := range []struct{ address, says string }{
		{"", "is not the URL"},
		{"10.0.0.7", "is not the URL"},
		{"ftp://10.0.0.7", "is not the URL"},
		{"https://", "is not the URL"},
		{"https://10.0.0.7/redfish/v1/Managers/1", "may name a system"},
		{"https://10.0.0.7/?a=b", "query"},
		{"https://root:" + url.QueryEscape(password) + "@10.0.0.7", "holds a user"},
		{"https://root:" + strings.ReplaceAll(password, " ", "%zz") + "@10.0.0.7", "cannot be read"},
		{"http://10.0.0.7", "unencrypted"},
	} {
		_, err := newConnector().Connect(t.Context(), core.Endpoint{URL: c.address, User: user}, password, nil)
		wantKind(t, err, core.Invalid, c.says)
	}
}

// TestPlainHTTP is for simulators: only where it is asked for.
func TestPlainHTTP(t *testing.T) {
	r := newRig(t, nil)
	plain := httptest.NewServer(r.bmc)
	defer plain.Close()
	_, err := inspect(t, core.Endpoint{URL: plain.URL, User: user, TLS: core.TLSCheck{Insecure: true}})
	must(t, "inspect", err)
}

func TestNoContact(t *testing.T) {
	address := closedPort(t)
	_, err := inspect(t, core.Endpoint{URL: "https://" + address, User: user})
	wantKind(t, err, core.Transient, "inspect: ", "BMC https://"+address+": no contact: connect: connection refused; check that")

	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	_, err = inspect(t, core.Endpoint{URL: strings.Replace(plain.URL, "http:", "https:", 1), User: user})
	wantKind(t, err, core.Backend, "does not speak TLS", "check the port")

	ctx, cancel := context.WithCancel(t.Context())
	hung := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel() // once the request is there
		<-r.Context().Done()
	}))
	defer hung.Close()
	b, err := newConnector().Connect(ctx, core.Endpoint{URL: hung.URL, TLS: core.TLSCheck{Insecure: true}}, "", nil)
	must(t, "connect", err)
	defer b.Close()
	_, err = b.Inspect(ctx)
	wantKind(t, err, core.Timeout)
}

// TestNotABMC: what answers is not what it should be, and the error says what it is.
func TestNotABMC(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	otherHost := strings.TrimPrefix(other.URL, "http://")

	const root = `{"Systems": {"@odata.id": "/redfish/v1/Systems"}}`
	answers := func(bodies map[string]string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, ok := bodies[strings.TrimSuffix(r.URL.Path, "/")]
			if !ok {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, body)
		}
	}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		says   []string
	}{
		{"a web server", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Server", "lighttpd")
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html><title>Printer\x1b[2J</title>")
		}, []string{"is not Redfish", "text/html", "Printer", `"lighttpd"`, "check that the URL"}},
		{"nothing", func(http.ResponseWriter, *http.Request) {}, []string{"an empty answer"}},
		{"a list", answers(map[string]string{"/redfish/v1": `[]`}), []string{"is not Redfish"}},
		{"no systems", answers(map[string]string{"/redfish/v1": `{}`}), []string{"it has no collection of systems"}},
		{"an empty collection", answers(map[string]string{"/redfish/v1": root, "/redfish/v1/Systems": `{"Members":[]}`}), []string{"it has no system"}},
		{"two systems", answers(map[string]string{
			"/redfish/v1":           root,
			"/redfish/v1/Systems":   `{"Members":[{"@odata.id":"/redfish/v1/Systems/1"},{"@odata.id":"/redfish/v1/Systems/2"}]}`,
			"/redfish/v1/Systems/1": `{"@odata.id":"/redfish/v1/Systems/1"}`,
			"/redfish/v1/Systems/2": `{"@odata.id":"/redfish/v1/Systems/2"}`,
		}), []string{"2 systems", "/redfish/v1/Systems/1, /redfish/v1/Systems/2", "name one in the URL: http://127.0.0.1"}},
		{"a link to another host", answers(map[string]string{
			"/redfish/v1": `{"Systems": {"@odata.id": "` + other.URL + `/redfish/v1/Systems"}}`,
		}), []string{"leads elsewhere"}},
		{"a link that makes the address a user's name", answers(map[string]string{
			"/redfish/v1": `{"Systems": {"@odata.id": "@` + otherHost + `/redfish/v1/Systems"}}`,
		}), []string{"leads elsewhere"}},
		{"a redirect to another host", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
		}, []string{"leads elsewhere"}},
		{"an endless answer", func(w http.ResponseWriter, _ *http.Request) {
			for chunk := make([]byte, 1<<20); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, []string{"does not end"}},
		{"a collection of endless pages", answers(map[string]string{
			"/redfish/v1":         root,
			"/redfish/v1/Systems": `{"Members@odata.nextLink":"/redfish/v1/Systems"}`,
		}), []string{"it has no system"}},
		{"the password, echoed", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error":{"message":"bad\u001b[2J header %s for %s"}}`, r.Header.Get("Authorization"), password)
		}, []string{"bad [2J header Basic *** for ***"}},
		{"no server of any kind", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := httptest.NewServer(c.answer)
			defer s.Close()
			_, err := inspect(t, core.Endpoint{URL: s.URL, User: user, TLS: core.TLSCheck{Insecure: true}})
			kind := core.Backend
			if c.says == nil {
				kind = core.Transient
			}
			wantKind(t, err, kind, c.says...)
			basic := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
			if err != nil && (strings.Contains(err.Error(), basic) || strings.ContainsRune(err.Error(), '\x1b')) {
				t.Errorf("error %q holds the password or a control character", err)
			}
		})
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d requests went to another host", n)
	}
}

// TestRedirects: some BMCs redirect reads within themselves; an action is never
// redirected.
func TestRedirects(t *testing.T) {
	r := newRig(t, nil)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if rest, ok := strings.CutPrefix(req.URL.Path, "/moved"); ok {
			req.URL.Path = rest
			r.bmc.ServeHTTP(w, req)
			return
		}
		http.Redirect(w, req, "/moved"+req.URL.Path, http.StatusPermanentRedirect)
	}))
	defer s.Close()
	r.endpoint.URL, r.endpoint.TLS = s.URL, core.TLSCheck{Insecure: true}
	b := r.enrolled()
	if _, err := b.Power(t.Context()); err != nil {
		t.Error(err)
	}
	wantKind(t, b.SetPower(t.Context(), core.TurnOn), core.Backend, "308")
	r.wantWrites()
}

// TestFenceDeadline: a call that hangs ends when the lease does.
func TestFenceDeadline(t *testing.T) {
	r := newRig(t, nil)
	options := quick
	options.Request = time.Hour
	r.connector = redfish.New(options)
	r.enrolled().Close()
	r.fault(bmc.Fault{On: bmc.Insert, Kind: bmc.Hang, Count: bmc.Forever})
	b := r.connect(func(context.Context) (time.Time, error) { return time.Now().Add(50 * time.Millisecond), nil })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	wantKind(t, b.InsertMedia(ctx, r.images[0]), core.Transient, "no answer")
	if hits := r.bmc.Faults().List()[0].Hits; hits != 1 {
		t.Errorf("the insert was sent %d times", hits)
	}
}
