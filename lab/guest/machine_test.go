package guest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

// pki is a CA with a server's and a client's certificate, as docker-machine makes.
type pki struct {
	ca, server, serverKey string
	pool                  *x509.CertPool
	client                tls.Certificate
}

func newPKI(t *testing.T) pki {
	t.Helper()
	var p pki
	make := func(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, string, string) {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if signer == nil {
			parent, signer = template, own
		}
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, own.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		text, err := x509.MarshalECPrivateKey(own)
		if err != nil {
			t.Fatal(err)
		}
		return cert, own, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: text}))
	}
	caCert, caKey, text, _ := make(&x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"ca"}}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	p.ca = text
	_, _, p.server, p.serverKey = make(&x509.Certificate{SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, caCert, caKey)
	_, _, client, clientKey := make(&x509.Certificate{SerialNumber: big.NewInt(3), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, caCert, caKey)
	pair, err := tls.X509KeyPair([]byte(client), []byte(clientKey))
	if err != nil {
		t.Fatal(err)
	}
	p.client, p.pool = pair, x509.NewCertPool()
	p.pool.AddCert(caCert)
	return p
}

func (p pki) get(t *testing.T, url string, client ...tls.Certificate) (int, string, error) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.pool, Certificates: client}}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Client{Transport: transport, Timeout: time.Minute}).Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body), err
}

// freePort is a port that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// These are the commands that docker-machine v0.16.2 sends to a Debian, in its
// order (libmachine/provision: debian.go, generic.go, systemd.go, utils.go).
func TestDockerMachineProvisions(t *testing.T) {
	m := boot(t, core.Seed{}, nil)
	keys, port := newPKI(t), freePort(t)
	const host = "db-1"
	dropIn := `[Service]
ExecStart=
ExecStart=/usr/bin/dockerd -H tcp://0.0.0.0:` + port + ` -H unix:///var/run/docker.sock --storage-driver overlay2 --tlsverify --tlscacert /etc/docker/ca.pem --tlscert /etc/docker/server.pem --tlskey /etc/docker/server-key.pem --label provider=metalpool 
Environment=
`
	tee := func(text, at string) string { return fmt.Sprintf("printf '%%s' '%s' | sudo tee %s", text, at) }
	for _, step := range []struct{ command, want string }{
		{"exit 0", `^$`},
		{"cat /etc/os-release", `(?m)^ID=debian$`},
		{"if ! type sudo; then apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y sudo; fi", `sudo is /usr/bin/sudo`},
		{`sudo hostname ` + host + ` && echo "` + host + `" | sudo tee /etc/hostname`, `^db-1\n$`},
		{`
		if ! grep -xq '.*\s` + host + `' /etc/hosts; then
			if grep -xq '127.0.1.1\s.*' /etc/hosts; then
				sudo sed -i 's/^127.0.1.1\s.*/127.0.1.1 ` + host + `/g' /etc/hosts;
			else 
				echo '127.0.1.1 ` + host + `' | sudo tee -a /etc/hosts; 
			fi
		fi`, `^$`},
		{"grep -c '^127.0.1.1 db-1$' /etc/hosts", `^1\n$`},
		{"sudo apt-get update", ``},
		{"DEBIAN_FRONTEND=noninteractive sudo -E apt-get install -y  curl", ``},
		{"if ! type docker; then curl -sSL https://get.docker.com | sh -; fi", `docker is /usr/bin/docker`},
		{"sudo docker version", `Server:`},
		{"sudo systemctl -f stop docker", `^$`},
		{`if [ ! -z "$(ip link show docker0)" ]; then sudo ip link delete docker0; fi`, `^$`},
		{tee(keys.ca, "/etc/docker/ca.pem"), `BEGIN`},
		{tee(keys.server, "/etc/docker/server.pem"), `BEGIN`},
		{tee(keys.serverKey, "/etc/docker/server-key.pem"), `BEGIN`},
		{"docker --version", `^Docker version [0-9.]+,`},
		{`sudo mkdir -p /etc/systemd/system/docker.service.d && printf %s "` + dropIn + `" | sudo tee /etc/systemd/system/docker.service.d/10-machine.conf`, `tlsverify`},
		{"sudo systemctl daemon-reload", `^$`},
		{"sudo systemctl -f start docker", `^$`},
		{"if ! type netstat 1>/dev/null; then ss -tln; else netstat -tln; fi", `:` + port + `\s+.*:.*`},
		{"sudo systemctl -f enable docker", `^$`},
	} {
		out, status := m.run(t, step.command)
		if status != 0 || !regexp.MustCompile(step.want).MatchString(out) {
			t.Errorf("%.80s: status %d, %q, want %s", step.command, status, out, step.want)
		}
	}
	check := func(when string) {
		t.Helper()
		base := "https://127.0.0.1:" + port
		for path, want := range map[string]string{"/_ping": `^OK$`, "/v1.15/version": `"ApiVersion":"1\.41"`, "/v1.41/info": `"Name":"db-1".*|provider=metalpool`, "/v1.41/containers/json?all=1": `^\[\]\s$`} {
			status, body, err := keys.get(t, base+path, keys.client)
			if err != nil || status != 200 || !regexp.MustCompile(want).MatchString(body) {
				t.Errorf("%s: %s: %d %q %v", when, path, status, body, err)
			}
		}
		if status, _, err := keys.get(t, base+"/v1.41/containers/create", keys.client); err != nil || status != 501 {
			t.Errorf("%s: creating a container: %d, %v", when, status, err)
		}
		if _, _, err := keys.get(t, base+"/_ping"); err == nil {
			t.Errorf("%s: a client without a certificate was served", when)
		}
		if _, _, err := keys.get(t, base+"/_ping", newPKI(t).client); err == nil {
			t.Errorf("%s: a client of another CA was served", when)
		}
	}
	check("after provisioning")
	m.restart(t)
	check("after a restart")
	if err := m.Shutdown(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := keys.get(t, "https://127.0.0.1:"+port+"/_ping", keys.client); err == nil {
		t.Error("the engine answers with the power off")
	}
}

func TestEngineFailsAsDockerdDoes(t *testing.T) {
	m := boot(t, core.Seed{}, nil)
	script := func(execStart string) string {
		return `sudo mkdir -p /etc/systemd/system/docker.service.d
printf '[Service]\nExecStart=\n%s\n' '` + execStart + `' | sudo tee /etc/systemd/system/docker.service.d/x.conf >/dev/null
sudo systemctl restart docker; echo $?; systemctl is-active docker; docker ps >/dev/null; echo $?`
	}
	for execStart, want := range map[string]string{
		"ExecStart=/usr/bin/dockerd -H tcp://0.0.0.0:0 --tlsverify --tlscacert /none":                                               "no such file",
		"ExecStart=/usr/bin/dockerd -H tcp://0.0.0.0:0 --tlsverify --tlscacert /etc/hosts --tlscert /etc/hosts --tlskey=/etc/hosts": "key pair",
		"": "0 ExecStart lines",
	} {
		out, _ := m.run(t, script(execStart)+" 2>&1; sudo journalctl -u docker")
		if !strings.Contains(out, "\nfailed\n") || !strings.Contains(out, want) {
			t.Errorf("%s: %q", execStart, out)
		}
	}
	out, _ := m.run(t, "sudo rm -r /etc/systemd/system/docker.service.d; sudo systemctl start docker; docker info --format '{{.ServerVersion}}'; sudo systemctl disable --now docker; systemctl is-active docker; systemctl is-enabled docker; systemctl start docker 2>&1")
	if out != "20.10.24\ninactive\ndisabled\nsystemctl: Interactive authentication required.\n" {
		t.Errorf("%q", out)
	}
	m.restart(t)
	if out, _ := m.run(t, "systemctl is-active docker; ip link show docker0 2>&1; docker run hello 2>&1"); !strings.HasPrefix(out, "inactive\n") || !strings.Contains(out, `"docker0" does not exist`) || !strings.Contains(out, "runs no containers") {
		t.Errorf("a disabled engine after a restart: %q", out)
	}
}
