package core

// Advice of hints in the words of the command line. An adapter whose users type
// something else puts its own words in their place.
const (
	AdviceWait     = "with --wait 30m"
	AdviceTakeOver = "enroll with --take-over"
	// AdviceTime is for who was out of time.
	AdviceTime = "with the deploy timeout"
	// AdviceFailed and AdviceUnfinished say what becomes of a deploy that has failed, and of
	// one that was left.
	AdviceFailed     = "the same request tries again, release gives it back"
	AdviceUnfinished = "the same request goes on with it; or release it"
)
