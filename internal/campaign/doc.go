// Package campaign breaks things while a pool is used, and looks whether that shows.
//
// A plan (plan.go) follows from a seed: bursts of operations of several clients, and the
// faults that hit them. It is run against real processes: the operator's command, an
// adapter's calls (caller), servers, and a rack of the lab. After each burst all faults
// end, and the campaign waits until every node is at rest and a new operation succeeds.
// Then it looks for what must never be: in the store (metalpool check), in what the
// clients were told (history.go), on the disks of the rack (disks.go), and for secrets in
// all that was printed, logged or shown in the list of processes (leaks.go).
//
// The same seed gives the same operations and the same faults at the same places of the
// plan. When the kernel runs which process, and so at which line a kill hits it, does not
// follow from the seed.
package campaign
