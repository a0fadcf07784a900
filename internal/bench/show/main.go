// Command show prints bench.json as a table for people, after what was
// told beside it.
package main

import (
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/metalpool/metalpool/internal/bench"
)

func main() {
	results, err := bench.Read(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "show:", err)
		os.Exit(1)
	}
	told, err := os.ReadFile(os.Args[1] + ".txt")
	if err != nil && !os.IsNotExist(err) {
		fmt.Fprintln(os.Stderr, "show:", err)
		os.Exit(1)
	}
	fmt.Printf("%s", told)
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "NAME\tVALUE\tBOUND\tUNIT\t\tAGAINST")
	missed := 0
	for _, r := range results {
		verdict := "ok"
		if !r.OK {
			verdict = "MISSED"
			missed++
		}
		fmt.Fprintf(out, "%s\t%.3g\t%s %g\t%s\t%s\t%s\n", r.Name, r.Value, r.Op, r.Bound, r.Unit, verdict, r.Against)
	}
	out.Flush()
	fmt.Printf("\n%d of %d bounds met\n", len(results)-missed, len(results))
}
