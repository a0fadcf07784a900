//go:build linux

package main_test

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
)

// TestNames are refused by the plan of an update as by that of a create, and as the pool
// would refuse them.
func TestNames(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	weird := "labels = { \"weird key é\" = \"1\" }"
	refusals := []resource.TestStep{
		refused(allocationBlock("a_1"), `"a_1" is not a machine name.*use letters, digits and dashes`),
		refused(allocationBlock("-a"), `"-a" is not a machine name.*begin and end with a letter or digit`),
		refused(allocationBlock("a-"), `"a-" is not a machine name.*begin and end with a letter or digit`),
		refused(allocationBlock("web-1", weird), `"weird key é" is not a label`),
		refused(allocationBlock("web-1", `labels = { note = "one\ntwo" }`), `value of label note.*one line`),
		refused(machineBlock("a-"), `"a-" is not a machine name`),
		refused(machineBlock("web-1", weird), `"weird key é" is not a label`),
		refused("resource \"metalpool_image\" \"i\" {\n name = \"a b\"\n source = \"/nosuch\"\n user = \"debian\"\n}", `"a b" cannot name an image.*dashes and underscores`),
		refused("resource \"metalpool_node\" \"n\" {\n bmc_url = \"http://\"\n bmc_password_wo = \"secret\"\n}", `not the address of a BMC alone.*write https`),
		refused("resource \"metalpool_node\" \"n\" {\n bmc_url = \"ftp://10.0.0.7\"\n bmc_password_wo = \"secret\"\n}", `not the address of a BMC alone.*write https`),
	}
	for _, limit := range []string{"-5s", "0s"} {
		refusals = append(refusals, refused(machineBlock("web-1", "timeouts {\n create = \""+limit+"\"\n }"), "Nothing can be done within "+limit))
	}
	there := resource.TestStep{Config: allocationBlock("web-1")}
	r.unit(t, append(append([]resource.TestStep{there}, refusals...), there)...)
}
