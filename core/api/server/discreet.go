package server

import (
	"bytes"
	"encoding/json"

	"github.com/danielgtaylor/huma/v2"

	"github.com/metalpool/metalpool/core"
)

// Errors, events and reasons end with the last words of a server's console. What may be
// of who had the server before is for operators alone; and so it is for a viewer, who
// reads no consoles, with all of it.

// consoleWords is in every text that Discreet changes.
const consoleWords = "its console"

// discreet is an answer as the caller may hear it.
func discreet(c huma.Context, _ string, answer any) (any, error) {
	p := caller(c.Context())
	if p.Role == core.RoleOperator {
		return answer, nil
	}
	text, err := p.told(answer)
	return json.RawMessage(text), err
}

// told is what is told to a caller, as JSON.
func (p principal) told(data any) ([]byte, error) {
	text, err := json.Marshal(data)
	if err != nil || p.Role == core.RoleOperator || !bytes.Contains(text, []byte(consoleWords)) {
		return text, err
	}
	var read any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // or a large one would come out as another
	if err := decoder.Decode(&read); err != nil {
		return nil, err
	}
	return json.Marshal(p.hushed(read))
}

// hushed goes through what came from JSON.
func (p principal) hushed(v any) any {
	switch v := v.(type) {
	case string:
		return core.Discreet(v, p.Role != core.RoleUser)
	case []any:
		for i := range v {
			v[i] = p.hushed(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = p.hushed(v[key])
		}
	}
	return v
}
