package guest

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/textproto"
	"strings"

	"go.yaml.in/yaml/v3"
)

// entity is one part of user data.
type entity struct {
	data []byte
	// before has its lists come before those that are there, and its values give way, as
	// the header Merge-Type of list(prepend)+dict(no_replace,recurse_list) says.
	before bool
}

// entities are the parts of user data, of which most has one: a MIME message has more.
func entities(data []byte) []entity {
	if !bytes.Contains(bytes.ToLower(data[:min(len(data), 4<<10)]), []byte("mime-version:")) {
		return []entity{{data: data}}
	}
	m, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		return []entity{{data: data}}
	}
	return parts(textproto.MIMEHeader(m.Header), m.Body)
}

func parts(header textproto.MIMEHeader, body io.Reader) (all []entity) {
	if kind, params, err := mime.ParseMediaType(header.Get("Content-Type")); err == nil && strings.HasPrefix(kind, "multipart/") {
		r := multipart.NewReader(body, params["boundary"])
		for {
			p, err := r.NextRawPart()
			if err != nil {
				return all
			}
			all = append(all, parts(p.Header, p)...)
		}
	}
	if strings.EqualFold(header.Get("Content-Transfer-Encoding"), "base64") {
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return nil
	}
	return []entity{{data, strings.Contains(header.Get("Merge-Type"), "list(prepend)+dict(no_replace,recurse_list)")}}
}

// into puts an entity's keys to those that are there.
func (e entity) into(merged, keys map[string]yaml.Node) {
	for key, node := range keys {
		there, found := merged[key]
		switch {
		case !found || !e.before:
			merged[key] = node
		case there.Kind == yaml.SequenceNode && node.Kind == yaml.SequenceNode:
			there.Content = append(node.Content[:len(node.Content):len(node.Content)], there.Content...)
			merged[key] = there
		}
	}
}
