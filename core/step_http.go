package core

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// HTTPStep is a request to another system, made by whoever works on the node. Redirects
// are not followed.
type HTTPStep struct {
	HTTPRequest `yaml:",inline"`
	// Check is another request that says whether there is nothing to do any more: it is
	// answered as it expects then.
	Check *HTTPRequest `json:"check,omitempty" yaml:"check,omitempty"`
}

// HTTPRequest is a request. URL, headers and body are templates, which see secrets.
type HTTPRequest struct {
	Method  string            `json:"method,omitempty" yaml:"method,omitempty"` // default: GET
	URL     string            `json:"url" yaml:"url"`
	Headers map[string]string `json:"headers,omitempty" yaml:"headers,omitempty"`
	Body    string            `json:"body,omitempty" yaml:"body,omitempty"`
	Expect  []int             `json:"expect,omitempty" yaml:"expect,omitempty,flow"` // statuses that are well; default: 200 to 299
}

var methods = []string{"", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

func (s *HTTPStep) check(secrets map[string]Reference, spent *effort) error {
	size := s.size()
	if s.Check != nil {
		size += s.Check.size()
	}
	if Bytes(size) > maxStepText {
		return fmt.Errorf("it has %s", tooLong(size))
	}
	if s.Check != nil {
		if err := s.Check.check(secrets, spent); err != nil {
			return inPart(err, "check")
		}
	}
	return s.HTTPRequest.check(secrets, spent)
}

// size is what it has of text, in bytes.
func (r HTTPRequest) size() int {
	size := len(r.URL) + len(r.Body)
	for name, text := range r.Headers {
		size += len(name) + len(text)
	}
	return size
}

func (r HTTPRequest) check(secrets map[string]Reference, spent *effort) error {
	switch {
	case !slices.Contains(methods, r.Method):
		return inPart(fmt.Errorf("%q is none; there are:%s", r.Method, strings.Join(methods, " ")), "method")
	case !strings.HasPrefix(r.URL, "https://") && !strings.HasPrefix(r.URL, "http://"):
		return inPart(errors.New("it does not begin with https:// or http://"), "url")
	}
	for name, text := range r.Headers {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }) {
			return inPart(fmt.Errorf("%q cannot name one", name), "headers")
		}
		if err := checkTemplate(text, secrets, spent); err != nil {
			return inPart(inPart(err, name), "headers")
		}
	}
	if err := checkTemplate(r.URL, secrets, spent); err != nil {
		return inPart(err, "url")
	}
	if err := checkTemplate(r.Body, secrets, spent); err != nil {
		return inPart(err, "body")
	}
	for _, status := range r.Expect {
		if status < 100 || status > 599 {
			return inPart(fmt.Errorf("%d is no status of HTTP", status), "expect")
		}
	}
	return nil
}
