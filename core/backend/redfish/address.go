package redfish

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/metalpool/metalpool/core"
)

// address is where a BMC is.
type address struct {
	node   core.NodeID // "" before it is enrolled
	base   string      // https://host[:port], without user or path
	host   string      // as in base
	key    string      // host:port; names the BMC within this process
	plain  bool        // HTTP without TLS
	system string      // path of the system meant; "" where the BMC has but one
}

// accept is how an operator has a new certificate or key accepted.
func (a address) accept(flag, value string) string {
	if a.node == "" {
		return "'" + flag + " " + value + "'"
	}
	return "'metalpool node set " + string(a.node) + " " + flag + " " + value + "'"
}

// lists is where an operator sees what a server has.
func (a address) lists(command string) string {
	if command == "" {
		return ""
	}
	return "; 'metalpool node " + command + " " + firstOf(string(a.node), "NODE") + "' lists what it has"
}

// parseAddress never repeats a user or password in its error, which is why it
// does not wrap that of url.Parse.
func parseAddress(raw string) (address, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return address{}, errors.New("the BMC's URL cannot be read")
	}
	scheme := strings.ToLower(u.Scheme)
	port := map[string]string{"https": "443", "http": "80"}[scheme]
	switch {
	case u.User != nil:
		return address{}, fmt.Errorf("the BMC's URL for %s holds a user; give user and password apart from it", u.Hostname())
	case port == "" || u.Hostname() == "":
		return address{}, fmt.Errorf("%q is not the URL of a BMC", raw)
	case u.RawQuery != "" || u.Fragment != "":
		return address{}, fmt.Errorf("%q has a query or fragment", raw)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	host := strings.ToLower(u.Host)
	a := address{
		base:  scheme + "://" + host,
		host:  host,
		key:   net.JoinHostPort(strings.ToLower(u.Hostname()), port),
		plain: scheme == "http",
	}
	path := strings.TrimSuffix(u.Path, "/")
	id, named := strings.CutPrefix(path, "/redfish/v1/Systems/")
	switch {
	case named && id != "" && !strings.Contains(id, "/"):
		a.system = path
	case path != "" && path != "/redfish" && path != "/redfish/v1":
		return address{}, fmt.Errorf("%q has the path %s; it may name a system, as in %s/redfish/v1/Systems/1", raw, path, a.base)
	}
	return a, nil
}

// local is the path of a link that a BMC gave: either a path, or a URL of the BMC
// itself. Anything else could carry the password to another host.
func (a address) local(link string) (string, error) {
	path := link
	if strings.Contains(link, "://") {
		u, err := url.Parse(link)
		if err != nil || !strings.EqualFold(u.Host, a.host) || u.User != nil {
			return "", foreignLinkError(link)
		}
		path = u.RequestURI()
	}
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
		return "", foreignLinkError(link)
	}
	return path, nil
}

// foreignLinkError is a link that leads away from the BMC that gave it.
type foreignLinkError string

func (l foreignLinkError) Error() string {
	return fmt.Sprintf("it gave a link that leads elsewhere: %q", shorten(string(l), 80))
}
