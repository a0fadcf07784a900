package core

import "time"

// What an Order has where it says nothing.
const (
	DefaultAcquireTimeout = 5 * time.Minute
	DefaultDeployTimeout  = 2 * time.Hour
)

// How long a caller does well to wait for a verb of Service before it gives up. The pool
// bounds its own work, and says what it ended: whoever waits no longer than that hears
// less.
const (
	// CallMargin goes on top of the time that the order itself allows.
	CallMargin = 5 * time.Minute
	// ReleasePatience is for a Release that does not wait for the clean.
	ReleasePatience = 10 * time.Minute
	// CleanPatience is for one that does. It is beyond the longest erase that a pool
	// allows by default: a rack of large hard disks takes most of a day.
	CleanPatience = 26 * time.Hour
)
