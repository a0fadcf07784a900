package server_test

import (
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/server"
)

// TestTheDocumentIsThatOfTheCode holds docs/openapi.yaml to the types.
func TestTheDocumentIsThatOfTheCode(t *testing.T) {
	made, err := server.New(server.Config{Pool: (*core.Engine)(nil)}).OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile("../../../docs/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if string(made) != string(kept) {
		t.Error("docs/openapi.yaml is not that of the code; run 'make generate'")
	}
	var document struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string `yaml:"operationId"`
			Summary     string
			Responses   map[string]any
		}
		Security []map[string]any
	}
	if err := yaml.Unmarshal(made, &document); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(document.OpenAPI, "3.1") || len(document.Security) == 0 || len(document.Paths) < 20 {
		t.Errorf("OpenAPI %s with %d paths, security %v", document.OpenAPI, len(document.Paths), document.Security)
	}
	known := map[string]bool{}
	for path, verbs := range document.Paths {
		for verb, o := range verbs {
			if o.OperationID == "" || known[o.OperationID] || o.Summary == "" || o.Responses["200"] == nil || o.Responses["401"] == nil || o.Responses["403"] == nil {
				t.Errorf("%s %s tells too little: %+v", verb, path, o)
			}
			known[o.OperationID] = true
		}
	}
}
