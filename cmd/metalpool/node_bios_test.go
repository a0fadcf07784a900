package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// People see of a server's BIOS what there is to tell, on a terminal as wide as theirs.
func TestBIOSAsPeopleSeeIt(t *testing.T) {
	onOff := []string{"Enabled", "Disabled"}
	told := []core.BIOSAttribute{
		{Name: "AdminPassword", Secret: true, Type: "Password"},
		{Name: "Delay", Value: json.Number("1"), Pending: json.Number("30"), Type: "Integer", Lower: json.Number("1"), Upper: json.Number("30")},
		{Name: "Least", Value: json.Number("1"), Type: "Integer", Lower: json.Number("1")},
		{Name: "Model", Value: "R670", Type: "String", ReadOnly: true, MaxLength: json.Number("8")},
		{Name: "Number", Value: json.Number("9007199254740993"), Type: "Integer"},
		{Name: "Owner", Value: "r1 ", Pending: "", Type: "String", MaxLength: json.Number("16")},
		{Name: "QuietBoot", Value: true, Pending: false, Type: "Boolean"},
		{Name: "Unheard", Value: "Auto"},
		{Name: "Virtual", Value: "Enabled", Type: "Enumeration", Values: onOff},
		{Name: "WorkloadProfile", Value: "GeneralPowerEfficientCompute", Type: "Enumeration", Values: []string{"GeneralPowerEfficientCompute", "Virtualization-MaxPerformance", "Custom"}},
	}
	for _, test := range []struct {
		name  string
		all   []core.BIOSAttribute
		width int
		want  string
	}{
		{"in a pipe", told[:8], 0, `
ATTRIBUTE      VALUE             PENDING  TYPE      TAKES
AdminPassword  (not shown)       -        Password  not set by steps
Delay          1                 30       Integer   1..30
Least          1                 -        Integer   1..
Model          R670              -        String    read-only
Number         9007199254740993  -        Integer   a whole number
Owner          "r1 "             ""       String    at most 16 characters
QuietBoot      true              false    Boolean   true, false
Unheard        Auto              -        -         -`},
		{"where nothing waits", told[8:], 80, `
ATTRIBUTE        VALUE                         TYPE         TAKES
Virtual          Enabled                       Enumeration  Enabled, Disabled
WorkloadProfile  GeneralPowerEfficientCompute  Enumeration
    GeneralPowerEfficientCompute, Virtualization-MaxPerformance, Custom`},
		{"on a narrow terminal", told[6:], 60, `
ATTRIBUTE        VALUE                         PENDING
QuietBoot        true                          false
    takes: true, false
Unheard          Auto                          -
Virtual          Enabled                       -
    takes: Enabled, Disabled
WorkloadProfile  GeneralPowerEfficientCompute  -
    takes: GeneralPowerEfficientCompute,
    Virtualization-MaxPerformance, Custom`},
		{"without a registry", told[7:8], 80, `
ATTRIBUTE  VALUE
Unheard    Auto`},
		{"with what is not seen", []core.BIOSAttribute{
			{Name: "Quiet\x1b[31mBoot", Value: "Auto ", Type: "Enumeration", Values: []string{"Auto ", "Auto", ""}},
			{Name: "QuietBoot", Value: "Auto", Type: "String"},
		}, 0, `
ATTRIBUTE            VALUE    TYPE         TAKES
"Quiet\x1b[31mBoot"  "Auto "  Enumeration  "Auto ", Auto, ""
QuietBoot            Auto     String       a text`},
	} {
		t.Run(test.name, func(t *testing.T) {
			table := biosTable(test.all, func(header ...string) *table { return newTable(false, test.width, header...) })
			if got := strings.Join(table.lines(), "\n"); got != strings.TrimPrefix(test.want, "\n") {
				t.Errorf("it shows\n%s\nwant%s", got, test.want)
			}
		})
	}
}
