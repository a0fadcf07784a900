package cloudconfig

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
)

// howToMerge is how cloud-init is to put the fragments, which come last, into the user's
// own cloud-configs: lists before theirs, and of two values theirs. Without it what comes
// later would replace whole lists.
const howToMerge = "list(prepend)+dict(no_replace,recurse_list)+str()"

// isMessage reports whether user data is a MIME message, as cloud-init tells it.
func isMessage(data []byte) bool {
	return bytes.Contains(bytes.ToLower(data[:min(len(data), 4096)]), []byte("mime-version:"))
}

// withoutEnvelope is a message as it can be part of another one.
func withoutEnvelope(data []byte) []byte {
	data = bytes.TrimLeft(data, " \t\r\n")
	if bytes.HasPrefix(data, []byte("From ")) {
		_, data, _ = bytes.Cut(data, []byte("\n"))
	}
	return data
}

// message has the user's entity first and then the fragments. The same parts give the same
// bytes.
func message(ours Config, users []byte) ([]byte, error) {
	text, err := ours.Text()
	if err != nil {
		return nil, err
	}
	last := part(typeConfig, []byte(text), "Merge-Type: "+howToMerge)
	sum := sha256.New()
	sum.Write(users)
	sum.Write(last)
	boundary := "metalpool-" + hex.EncodeToString(sum.Sum(nil)[:16]) // nobody can have written it into what it is made of
	var b bytes.Buffer
	b.WriteString("Content-Type: multipart/mixed; boundary=\"" + boundary + "\"\nMIME-Version: 1.0\n\n")
	for _, entity := range [][]byte{users, last} {
		b.WriteString("--" + boundary + "\n")
		b.Write(entity)
		b.WriteString("\n")
	}
	b.WriteString("--" + boundary + "--\n")
	return b.Bytes(), nil
}

// part is data as an entity. Other letters than those of ASCII would not survive the
// mail parser that cloud-init reads them with.
func part(kind string, data []byte, headers ...string) []byte {
	var b bytes.Buffer
	b.WriteString("Content-Type: " + kind + "; charset=\"utf-8\"\nMIME-Version: 1.0\n")
	for _, h := range headers {
		b.WriteString(h + "\n")
	}
	if isASCII(data) {
		b.WriteString("Content-Transfer-Encoding: 7bit\n\n")
		b.Write(data)
		return b.Bytes()
	}
	b.WriteString("Content-Transfer-Encoding: base64\n\n")
	const line = 57 // bytes that make 76 letters
	for len(data) > 0 {
		n := min(line, len(data))
		b.WriteString(base64.StdEncoding.EncodeToString(data[:n]) + "\n")
		data = data[n:]
	}
	return b.Bytes()
}

// isASCII reports whether a mail parser leaves every byte as it is.
func isASCII(data []byte) bool {
	return !bytes.ContainsFunc(data, func(r rune) bool { return r >= 0x7f || r < ' ' && r != '\n' && r != '\t' })
}

// maxNested is how deep we look into messages in messages.
const maxNested = 8

// configsOf finds the cloud-configs of a MIME message, as far as we can read it.
func configsOf(data []byte) (configs []string) {
	m, err := mail.ReadMessage(bytes.NewReader(withoutEnvelope(data)))
	if err != nil {
		return nil
	}
	collect(textproto.MIMEHeader(m.Header), m.Body, maxNested, func(text string) { configs = append(configs, text) })
	return configs
}

func collect(header textproto.MIMEHeader, body io.Reader, depth int, found func(text string)) {
	kind, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || depth == 0 {
		return
	}
	if strings.HasPrefix(kind, "multipart/") {
		parts := multipart.NewReader(body, params["boundary"])
		for {
			p, err := parts.NextRawPart()
			if err != nil {
				return // its end, or what cloud-init makes of it
			}
			collect(p.Header, p, depth-1, found)
		}
	}
	switch strings.ToLower(header.Get("Content-Transfer-Encoding")) {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	data, err := io.ReadAll(io.LimitReader(body, maxUnpacked))
	if err != nil {
		return
	}
	if kind == typeConfig || kind == "text/plain" && kindOf(data) == typeConfig {
		found(string(data))
	}
}
