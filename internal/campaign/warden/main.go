// Command warden outlives a campaign, however that ends, and then ends the processes that
// still have its pool: workers outlive whoever has started them, and nobody else would come
// for those of a campaign that was killed. Its standard input is open while the campaign runs.
package main

import (
	"io"
	"os"

	"github.com/metalpool/metalpool/internal/attached"
)

func main() {
	_, _ = io.Copy(io.Discard, os.Stdin) // an error is an end, too
	attached.End(os.Getenv("CAMPAIGN_POOL"))
}
