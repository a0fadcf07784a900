package guest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
)

// engine is the machine's Docker engine, which runs no containers. Like dockerd it
// listens where its service's ExecStart says.
type engine struct {
	g *Guest

	mu      sync.Mutex
	running bool
	failed  error
	bridge  bool // docker0 is there: since the first start, until somebody deletes it
	servers []*http.Server
	ports   []string
	labels  []string
	done    sync.WaitGroup
}

func (e *engine) state() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.running:
		return "active"
	case e.failed != nil:
		return "failed"
	}
	return "inactive"
}

// failure is why the last start failed; "" if it did not.
func (e *engine) failure() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failed == nil {
		return ""
	}
	return e.failed.Error()
}

// listening are the ports that the engine listens on.
func (e *engine) listening() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string{}, e.ports...)
}

// start starts the service; when it runs already, nothing happens.
func (e *engine) start() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running {
		return nil
	}
	e.failed = e.launch()
	if e.failed != nil {
		e.halt()
		return e.failed
	}
	e.running, e.bridge = true, true
	return nil
}

func (e *engine) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.halt()
	e.failed = nil
}

// halt closes what launch opened. The caller holds mu.
func (e *engine) halt() {
	for _, s := range e.servers {
		_ = s.Close()
	}
	e.done.Wait()
	e.servers, e.ports, e.labels, e.running = nil, nil, nil, false
}

// flags are those of dockerd that matter here.
type flags struct {
	hosts, labels []string
	verify        bool
	ca, cert, key string
}

func parseFlags(line string) flags {
	var f flags
	words := strings.Fields(line)
	for i := 0; i < len(words); i++ {
		name, value, joined := strings.Cut(words[i], "=")
		next := func() string {
			if !joined && i+1 < len(words) {
				i++
				value = words[i]
			}
			return value
		}
		switch name {
		case "-H", "--host":
			f.hosts = append(f.hosts, next())
		case "--label":
			f.labels = append(f.labels, next())
		case "--tlsverify":
			f.verify = true
		case "--tlscacert":
			f.ca = next()
		case "--tlscert":
			f.cert = next()
		case "--tlskey":
			f.key = next()
		}
	}
	return f
}

// launch listens on each tcp:// host of the service. The caller holds mu.
func (e *engine) launch() error {
	if e.g.ctx.Err() != nil {
		return errors.New("the machine is going down")
	}
	commands := e.g.setting("docker.service", "ExecStart")
	if len(commands) != 1 {
		return fmt.Errorf("docker.service has %d ExecStart lines and needs one", len(commands))
	}
	f := parseFlags(commands[0])
	e.labels = f.labels
	for _, host := range f.hosts {
		u, err := url.Parse(host)
		if err != nil || u.Scheme != "tcp" {
			continue // the local socket, which only our docker program uses
		}
		port := u.Port()
		if port == "" {
			port = "2376"
		}
		var config *tls.Config
		if f.verify {
			if config, err = e.tls(f); err != nil {
				return err
			}
		}
		l, err := listen(e.g.ctx, e.g.config.Address, port)
		if err != nil {
			return err
		}
		e.serve(l, config)
		e.ports = append(e.ports, port)
	}
	return nil
}

// tls makes the engine's side of TLS from files on the machine.
func (e *engine) tls(f flags) (*tls.Config, error) {
	root := e.g.Files()
	var texts [3][]byte
	for i, name := range []string{f.ca, f.cert, f.key} {
		var err error
		if texts[i], err = root.ReadFile(name); err != nil {
			return nil, fmt.Errorf("could not load TLS files: %w", err)
		}
	}
	pair, err := tls.X509KeyPair(texts[1], texts[2])
	if err != nil { // shows nothing of the key
		return nil, fmt.Errorf("could not load X509 key pair (%s, %s)", f.cert, f.key)
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM(texts[0]) {
		return nil, fmt.Errorf("no certificate in %s", f.ca)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}, nil
}

func (e *engine) serve(l net.Listener, config *tls.Config) {
	s := &http.Server{
		Handler: http.HandlerFunc(e.answer), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 15 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0), // clients with other certificates are no news
	}
	if config != nil {
		l = tls.NewListener(l, config)
	}
	e.servers = append(e.servers, s)
	e.done.Go(func() { _ = s.Serve(l) }) // ends by Close alone
}

var versioned = regexp.MustCompile(`^/v[0-9]+\.[0-9]+(/.*)$`)

// answer is the engine's HTTP API, as far as clients look at a machine with it.
func (e *engine) answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", engineAPI)
	w.Header().Set("Ostype", "linux")
	w.Header().Set("Docker-Experimental", "false")
	w.Header().Set("Server", "Docker/"+engineVersion+" (linux)")
	at := r.URL.Path
	if m := versioned.FindStringSubmatch(at); m != nil {
		at = m[1]
	}
	var body any
	switch at {
	case "/_ping":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "OK") // a client that is gone needs no answer
		return
	case "/version":
		body = map[string]any{
			"Platform": map[string]string{"Name": "metalpool lab"}, "Version": engineVersion, "ApiVersion": engineAPI, "MinAPIVersion": "1.12",
			"GitCommit": "lab", "GoVersion": "go1.19.8", "Os": "linux", "Arch": "amd64", "KernelVersion": kernel, "BuildTime": "2025-03-15T09:00:00.000000000+00:00",
			"Components": []map[string]any{{"Name": "Engine", "Version": engineVersion, "Details": map[string]string{"ApiVersion": engineAPI, "Arch": "amd64", "Os": "linux", "KernelVersion": kernel}}},
		}
	case "/info":
		body = e.info()
	case "/containers/json", "/images/json", "/networks", "/events":
		body = []string{}
	case "/volumes":
		body = map[string]any{"Volumes": []string{}, "Warnings": nil}
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotImplemented)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": "the engine of a simulated machine runs no containers"})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func (e *engine) info() map[string]any {
	e.mu.Lock()
	labels := append([]string{}, e.labels...)
	e.mu.Unlock()
	c := e.g.config
	return map[string]any{
		"ID": e.g.hostname(), "Name": e.g.hostname(), "ServerVersion": engineVersion, "OperatingSystem": "Debian GNU/Linux 12 (bookworm)",
		"OSType": "linux", "Architecture": "x86_64", "KernelVersion": kernel, "NCPU": max(c.CPUs, 1), "MemTotal": c.Memory,
		"Containers": 0, "ContainersRunning": 0, "ContainersPaused": 0, "ContainersStopped": 0, "Images": 0,
		"Driver": "overlay2", "DriverStatus": [][]string{}, "CgroupDriver": "systemd", "CgroupVersion": "2", "LoggingDriver": "json-file",
		"DockerRootDir": "/var/lib/docker", "Labels": labels, "Swarm": map[string]any{"LocalNodeState": "inactive"},
		"Plugins": map[string]any{"Volume": []string{"local"}, "Network": []string{"bridge", "host", "none"}}, "SystemTime": c.Now().UTC().Format(time.RFC3339Nano),
	}
}
