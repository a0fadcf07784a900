package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
)

func nodeBIOSCommand(a *app) *cobra.Command {
	var o outputFlag
	cmd := &cobra.Command{
		Use:   "bios NODE [NAME]",
		Short: "List what a server's BIOS can be set to, and is",
		Long: `List the attributes of a server's firmware under the names that its maker gave them,
as a step of the kind bios declares them: the value that is in force, the one that waits
for the next start, where that differs, and what the attribute takes, as far as the BMC
has a registry that tells. The BMC is asked now, and nothing is changed. Of passwords no
value is shown.

NAME leaves those whose name, or label in the firmware's own menu, has it in it, in any
case.`,
		Example: `  metalpool node bios r1-n7
  metalpool node bios r1-n7 virtual
  metalpool node bios r1-n7 -o json`,
		Args: exactly("NODE", "[NAME]"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return a.find(cmd, nodeIDs), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: a.reads(func(ctx context.Context, e core.Operator, args []string) error {
			all, err := e.BIOS(ctx, core.NodeID(args[0]))
			if err != nil {
				return err
			}
			fit := attributesLike(all, strings.Join(args[1:], ""))
			if o.json() {
				return a.printJSON(list(fit))
			}
			if len(fit) == 0 {
				a.note("none of the %d attributes of %s is called so", len(all), args[0])
				return nil
			}
			if err := biosTable(fit, a.table).print(a.out); err != nil {
				return err
			}
			if !slices.ContainsFunc(all, typed) {
				a.note("its BMC has no registry of them, which would tell what they take")
			}
			return nil
		}),
	}
	o.add(cmd)
	return cmd
}

// attributesLike are those that have a part of a name in theirs; "" is in all.
func attributesLike(all []core.BIOSAttribute, part string) (fit []core.BIOSAttribute) {
	part = strings.ToLower(part)
	for _, a := range all {
		if strings.Contains(strings.ToLower(a.Name), part) || strings.Contains(strings.ToLower(a.Label), part) {
			fit = append(fit, a)
		}
	}
	return fit
}

func typed(a core.BIOSAttribute) bool   { return a.Type != "" }
func pending(a core.BIOSAttribute) bool { return a.Pending != nil }

// biosTable has the columns in which there is something.
func biosTable(all []core.BIOSAttribute, table func(header ...string) *table) *table {
	header := []string{"ATTRIBUTE", "VALUE"}
	waits, told := slices.ContainsFunc(all, pending), slices.ContainsFunc(all, typed)
	if waits {
		header = append(header, "PENDING")
	}
	if told {
		header = append(header, "TYPE", "TAKES")
	}
	t := table(header...).sparing("TYPE")
	for _, a := range all {
		value := core.Visible(a.Value)
		if a.Secret {
			value = "(not shown)"
		}
		cells := []string{core.Visible(a.Name), value}
		if waits {
			cells = append(cells, core.Visible(a.Pending))
		}
		if told {
			cells = append(cells, a.Type, takes(a))
		}
		t.row(cells...)
	}
	return t
}

// takes is what an attribute can be set to, for people.
func takes(a core.BIOSAttribute) string {
	switch {
	case a.ReadOnly:
		return "read-only"
	case a.Secret:
		return "not set by steps"
	case len(a.Values) > 0:
		values := make([]string, len(a.Values))
		for i, v := range a.Values {
			values[i] = core.Visible(v)
		}
		return strings.Join(values, ", ")
	case a.Type == "Boolean":
		return "true, false"
	case a.Lower != nil || a.Upper != nil:
		return core.Visible(a.Lower) + ".." + core.Visible(a.Upper)
	case a.Type == "Integer":
		return "a whole number"
	case a.MaxLength != nil:
		return fmt.Sprintf("at most %v characters", a.MaxLength)
	case a.Type == "String":
		return "a text"
	}
	return ""
}
