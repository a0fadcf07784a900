package core

// Same reports whether p tells of the same as an earlier moment, but for how far that is.
func (p Progress) Same(earlier Progress) bool {
	return p.Node == earlier.Node && p.Step == earlier.Step && p.Message == earlier.Message
}

// Percent is how much of the step is done; not known where Total is not.
func (p Progress) Percent() (percent int, known bool) {
	if p.Total <= 0 {
		return 0, false
	}
	// In floating point: Done*100 of a large disk overflows.
	return int(float64(p.Done) / float64(p.Total) * 100), true
}
