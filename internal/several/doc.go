// Package several tests several `metalpool serve` on one PostgreSQL, as an operator has
// them: real processes behind one address, which are killed, drained, and left without
// their database.
package several
