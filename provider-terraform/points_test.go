//go:build linux

package main_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// points are what users of the providers for metal that there were asked for, in their
// issues, and did not get; and the tests that hold it here.
var points = []struct {
	asked  string
	issues string
	tests  []string
}{
	{
		"a create that fails leaves nothing behind that nobody knows of", "equinix#793, aws#48551",
		[]string{"TestFaults/killed provider is adopted", "TestFaults/killed apply is adopted", "TestFaults/lost state is told how to import", "TestFaults/no server leaves nothing behind"},
	},
	{
		"an error of create does not doom a good machine", "terraform-plugin-framework#927",
		[]string{"TestFaults/interrupted apply is gone on with", "TestApartFaults/failed deploy taints the deployment alone"},
	},
	{
		"a new image is written to the same server, instead of taking another one", "equinix#158, cherryservers#27",
		[]string{"TestPlan", "TestApart", "TestFleet", "TestDecide"},
	},
	{
		"a new SSH key wipes and replaces nothing", "latitudesh#164, scaleway#1542",
		[]string{"TestKeysInPlace", "TestDecide"},
	},
	{
		"a new provider does not plan to replace the fleet", "maas#409",
		[]string{"TestStatesAreKept", "TestSchemasAreKept", "TestUpgrades"},
	},
	{
		"an import is followed by an empty plan", "maas#93, ovh#914",
		[]string{"TestPlan", "TestApart", "TestPools", "TestImages", "TestNodes", "TestImportByIdentity", "TestRequirementsAreLossless", "TestFaults/lost state is told how to import"},
	},
	{
		"limits of time are kept, and long enough", "equinix#357, maas#288",
		[]string{"TestTimeouts"},
	},
	{
		"no server goes to two at once", "packet#176, maas#12",
		[]string{"TestTwoApplies", "TestBesideDockerMachine", "TestFleet"},
	},
	{
		"what is given back behind Terraform's back is noticed", "maas#257",
		[]string{"TestPlan", "TestActions", "TestApartFaults/allocation that has expired is taken anew", "TestFaults/another pool is no proof of a loss"},
	},
	{
		"a server is erased before the next one gets it", "maas#72, maas#260",
		[]string{"TestLife", "TestBesideDockerMachine"},
	},
	{
		"a bad server is not given out again", "equinix#188",
		[]string{"TestBadServer"},
	},
	{
		"a destroy that is complete has given the server up", "equinix#179",
		[]string{"TestTimeouts", "TestLife"},
	},
	{
		"a server can be taken without being deployed, and be chosen by its disks and ports", "maas#225, maas#177, maas#113",
		[]string{"TestApart", "TestLife", "TestConstraintsInRequirements", "TestStatesAreKept"},
	},
	{
		"no state makes an apply wait for ever", "ironic#17",
		[]string{"TestEveryState", "TestFaults/failed redeploy is finished"},
	},
	{
		"what there is can be asked for", "maas#234",
		[]string{"TestData", "TestLists"},
	},
	{
		"power and reinstalls are there on the second day, too", "matchbox#600",
		[]string{"TestActions", "TestPlan"},
	},
	{
		"user data reaches the server, and stays in the state as it was written", "latitudesh#126, ovh#1291",
		[]string{"TestUserData"},
	},
	{
		"operations side by side do not disturb each other on one BMC", "redfish#328",
		[]string{"TestOneBMC"},
	},
}

// TestPoints holds that each test that is named above is there.
func TestPoints(t *testing.T) {
	t.Parallel()
	there := tests(t)
	if len(points) != 18 {
		t.Errorf("there are %d points", len(points))
	}
	for _, p := range points {
		if len(p.tests) == 0 {
			t.Errorf("no test holds that %s (%s)", p.asked, p.issues)
		}
		for _, name := range p.tests {
			if !there[name] {
				t.Errorf("there is no %s, which is to hold that %s (%s)", name, p.asked, p.issues)
			}
		}
	}
}

// tests are the tests of this package and of the provider's, and what they name as cases:
// "TestFaults/killed apply is adopted".
func tests(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, pattern := range []string{"*_test.go", "provider/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no tests in %s: %v", pattern, err)
		}
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range file.Decls {
				f, is := d.(*ast.FuncDecl)
				if !is || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") {
					continue
				}
				found[f.Name.Name] = true
				ast.Inspect(f, func(n ast.Node) bool {
					if l, is := n.(*ast.BasicLit); is && l.Kind == token.STRING {
						if text, err := strconv.Unquote(l.Value); err == nil {
							found[f.Name.Name+"/"+text] = true
						}
					}
					return true
				})
			}
		}
	}
	return found
}
