package cloudconfig

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
)

// OfUser is what the user's part is called in errors.
const OfUser = "the user data"

// maxUnpacked bounds what compressed user data may become.
const maxUnpacked = 16 << 20

// Combine makes the user data of a machine: that of its user, with an operator's fragments
// before it. User data that is a cloud-config becomes one with them; any other goes along
// with them as a part of its own, in a MIME message. Without fragments it stays as it is.
func Combine(fragments []Part, user []byte) ([]byte, error) {
	ours, err := Join(fragments...)
	if err != nil || ours.Empty() {
		return user, err
	}
	data, err := unpacked(user)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", OfUser, err)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		text, err := ours.Text()
		return []byte(text), err
	}
	if isMessage(data) {
		if err := ours.agrees(fragments, configsOf(data)); err != nil {
			return nil, err
		}
		return message(ours, withoutEnvelope(data))
	}
	if kind := kindOf(data); kind != typeConfig {
		return message(ours, part(kind, data))
	}
	theirs, err := expanded(string(data))
	if err != nil {
		return nil, fmt.Errorf("%s cannot be joined with %s: %w", OfUser, fragments[0].Of, err)
	}
	joined, err := Join(append(fragments[:len(fragments):len(fragments)], Part{OfUser, theirs})...)
	if err != nil {
		return nil, err
	}
	text, err := joined.Text()
	return []byte(text), err
}

// agrees looks whether each of the user's configs could be joined with the fragments. How
// they get on with each other is the user's own affair.
func (c Config) agrees(fragments []Part, theirs []string) error {
	for _, text := range theirs {
		config, err := expanded(text)
		if err != nil {
			continue // cloud-init is going to say so
		}
		if _, err := Join(append(fragments[:len(fragments):len(fragments)], Part{OfUser, config})...); err != nil {
			return err
		}
	}
	return nil
}

// unpacked takes gzip off, as cloud-init does.
func unpacked(data []byte) ([]byte, error) {
	if !bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		return data, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxUnpacked+1))
	if err == nil && len(plain) > maxUnpacked {
		err = errors.New("it is too much once it is unpacked")
	}
	return plain, err
}

// typeConfig is the content type of a cloud-config.
const typeConfig = "text/cloud-config"

// types are how cloud-init tells user data apart: by how it begins. Of two that fit the
// longer counts.
var types = map[string]string{
	Header:                  typeConfig,
	"#cloud-config-archive": "text/cloud-config-archive",
	"#cloud-boothook":       "text/cloud-boothook",
	"#include":              "text/x-include-url",
	"#include-once":         "text/x-include-once-url",
	"#part-handler":         "text/part-handler",
	"#!":                    "text/x-shellscript",
	"## template: jinja":    "text/jinja2",
}

// kindOf is the content type of user data; "text/plain" leaves it to cloud-init.
func kindOf(data []byte) string {
	head, kind := "", "text/plain"
	text := strings.TrimLeft(string(data[:min(len(data), 64)]), " \t\r\n\ufeff")
	for begins, t := range types {
		if len(begins) > len(head) && strings.HasPrefix(strings.ToLower(text), begins) {
			head, kind = begins, t
		}
	}
	return kind
}
