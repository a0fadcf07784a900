// Package core takes bare-metal servers from a pool, puts an operating system and
// the caller's keys on them, and gives them back erased.
//
// A node is a physical server in the inventory. An allocation is ownership of a
// node, under an ID that the caller made, so that a retry is the same request. A
// lease is the short right to work on a node; it is never ownership. The tables in
// state.go say what can happen to a node, and advance.go is the only place that
// lets it happen, with its event, in one transaction.
//
// An Engine has no memory that matters. What is to be done is committed before the
// first call to the hardware, what was done is recorded under the attempt's ID, and
// another process finds both:
//
//	Acquire   choose.go claims one Available node by compare-and-swap
//	Create    deploy.go drives deploySteps, moves on where a node fails
//	Release   release.go commits Cleaning, reads Off back, returns
//	clean     clean.go drives cleanSteps to Available or Quarantined
//	Reconcile operate.go does the same for workers that died
//	Drift     drift.go compares a node with its profile; SetUp brings it back
//	BIOS      bios.go lists what there is for a profile to set
//
// drive.go is the one loop behind deploy and clean: the first step that is not met
// is done, and its end is written down. work.go fences it: every write to the store
// and every changing request to a BMC asks first whether the lease is still ours.
//
// The hardware is behind three small faces: Connector and BMC (backend.go), Agent
// and Deployer (deployer.go). The pool is behind Store and Tx (store.go). Adapters
// see Service (service.go).
package core
