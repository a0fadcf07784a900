package bmc

import (
	"encoding/json"
	"hash/fnv"
	"net/http"
	"strconv"
)

// doc is a JSON object of an answer.
type doc map[string]any

// link is a reference to another resource.
func link(path string) doc { return doc{"@odata.id": path} }

func links(paths ...string) []doc {
	l := make([]doc, len(paths))
	for i, p := range paths {
		l[i] = link(p)
	}
	return l
}

// collection is a resource collection of the given kind, as in "Drive".
func collection(path, kind, name string, members ...string) doc {
	return doc{
		"@odata.id":           path,
		"@odata.type":         "#" + kind + "Collection." + kind + "Collection",
		"Name":                name,
		"Members@odata.count": len(members),
		"Members":             links(members...),
	}
}

// tag is the ETag of a document: equal documents have equal tags.
func (d doc) tag() string {
	h := fnv.New64a()
	h.Write(encode(d))
	return `"` + strconv.FormatUint(h.Sum64(), 16) + `"`
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		// Documents are made of texts, numbers and links only.
		panic("bmc: a document that JSON cannot hold: " + err.Error())
	}
	return b
}

// answer is what goes back to the client, whole, so that a fault can replace it.
type answer struct {
	status int
	header http.Header
	body   []byte
	cut    bool // close the connection instead
}

func (a answer) with(name, value string) answer {
	if a.header == nil {
		a.header = http.Header{}
	}
	a.header.Set(name, value)
	return a
}

func (a answer) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("OData-Version", "4.0")
	h.Set("Cache-Control", "no-cache")
	for k, v := range a.header {
		h[k] = v
	}
	if len(a.body) > 0 {
		if h.Get("Content-Type") == "" {
			h.Set("Content-Type", "application/json; charset=utf-8")
		}
		h.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the client may have gone
}

// read answers a GET of d.
func read(r *request, d doc) answer {
	tag := d.tag()
	if r.Header.Get("If-None-Match") == tag {
		return answer{status: http.StatusNotModified}.with("ETag", tag)
	}
	return answer{status: http.StatusOK, body: encode(d)}.with("ETag", tag)
}

// done answers a write that was taken.
func (b *BMC) done() answer {
	if b.manners.SuccessInBody {
		return answer{status: http.StatusOK, body: b.explain(Message{ID: "Success", Text: "The request completed successfully.", Resolution: "None"})}
	}
	return answer{status: http.StatusNoContent}
}

// fail answers with an error.
func (b *BMC) fail(m Message) answer {
	a := answer{status: m.Status, body: b.explain(m)}
	switch m.Status {
	case http.StatusServiceUnavailable:
		a = a.with("Retry-After", "3")
	case http.StatusUnauthorized:
		a = a.with("WWW-Authenticate", `Basic realm="BMC"`)
	}
	return a
}

// refuse answers with what this vendor says to the cause.
func (b *BMC) refuse(c Cause) answer {
	m := b.manners.message(c)
	if m.Status == http.StatusNoContent {
		return b.done()
	}
	return b.fail(m)
}

// explain is the body of a Redfish error.
func (b *BMC) explain(m Message) []byte {
	id := b.manners.messageID(m.ID)
	severity := "Warning"
	if m.Status >= http.StatusInternalServerError {
		severity = "Critical"
	} else if m.Status == 0 {
		severity = "OK"
	}
	entry := doc{"@odata.type": "#Message.v1_1_2.Message", "MessageId": id, "MessageArgs": m.Args}
	if m.Args == nil {
		entry["MessageArgs"] = []string{}
	}
	if len(m.Related) > 0 {
		entry["RelatedProperties"] = m.Related
	}
	if !b.manners.TerseErrors { // with them, the texts are in a registry only
		entry["Message"], entry["Severity"], entry["MessageSeverity"], entry["Resolution"] = m.Text, severity, severity, m.Resolution
	}
	code, text := b.manners.messageID("GeneralError"), "A general error has occurred. See ExtendedInfo for more information."
	switch {
	case b.manners.TerseErrors:
		code, text = b.manners.ErrorCode, "See @Message.ExtendedInfo for more information."
	case b.manners.CodeIsMessage:
		code, text = id, m.Text
	}
	return encode(doc{"error": doc{"code": code, "message": text, "@Message.ExtendedInfo": []doc{entry}}})
}
