package cloudconfig_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core/cloudconfig"
)

// script is user data of two parts, as cloud-init's own tool writes it.
const script = `From nobody Fri Jan 11 07:00:00 1980
Content-Type: multipart/mixed; boundary="===2205=="
MIME-Version: 1.0
Number-Attachments: 2

--===2205==
Content-Type: text/cloud-config; charset="utf-8"
Content-Transfer-Encoding: base64

I2Nsb3VkLWNvbmZpZwp0aW1lem9uZTogQ0VUCg==

--===2205==
Content-Type: text/x-shellscript; charset="utf-8"
MIME-Version: 1.0

#!/bin/sh
echo user

--===2205==--
`

// entity is one part of a message.
type entity struct{ kind, merge, text string }

// entities reads a message with another reader than the one that looks for conflicts.
func entities(t *testing.T, data []byte) (all []entity) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		kind, _, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		if p.Header.Get("Content-Transfer-Encoding") == "base64" {
			if text, err = base64.StdEncoding.DecodeString(strings.ReplaceAll(string(text), "\n", "")); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, entity{kind, p.Header.Get("Merge-Type"), string(text)})
	}
}

// What is no cloud-config stays as it is, beside the fragments.
func TestOtherUserData(t *testing.T) {
	for user, kind := range map[string]string{
		"#!/bin/sh\necho hello\n":                         "text/x-shellscript",
		"#!/bin/sh\necho h€llo\r\n":                       "text/x-shellscript",
		"#include\nhttps://x.example\n":                   "text/x-include-url",
		"#include-once\nhttps://x.example\n":              "text/x-include-once-url",
		"#cloud-boothook\necho\n":                         "text/cloud-boothook",
		"#cloud-config-archive\n- x\n":                    "text/cloud-config-archive",
		"#part-handler\ndef x(): pass\n":                  "text/part-handler",
		"## template: jinja\n#cloud-config\na: {{ b }}\n": "text/jinja2",
		"something of another program":                    "text/plain",
	} {
		got, err := cloudconfig.Combine(fragments(t, "packages: [ä]"), []byte(user))
		if err != nil {
			t.Fatal(err)
		}
		all := entities(t, got)
		if len(all) != 2 || all[0].kind != kind || all[0].text != user || all[1].kind != "text/cloud-config" || all[1].text != "#cloud-config\npackages: [ä]\n" || all[1].merge == "" {
			t.Errorf("%q: %q", user, all)
		}
	}
}

// A message stays as it was, and what its configs say is held against the fragments.
func TestMessageOfAUser(t *testing.T) {
	got, err := cloudconfig.Combine(fragments(t, "timezone: CET\npackages: [a]"), []byte(script))
	if err != nil {
		t.Fatal(err)
	}
	all := entities(t, got)
	if len(all) != 2 || all[0].kind != "multipart/mixed" || !strings.Contains(all[0].text, "--===2205==\nContent-Type: text/cloud-config") || !strings.Contains(all[0].text, "echo user\n") || strings.Contains(string(got), "From nobody") {
		t.Errorf("%q", all)
	}
	_, err = cloudconfig.Combine(fragments(t, "timezone: UTC"), []byte(script))
	if err == nil || err.Error() != "step a and the user data disagree on timezone" {
		t.Errorf("got %v", err)
	}
}
