package server

import (
	"crypto/sha256"
	"math"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/metalpool/metalpool/core"
)

// How often one may ask. A client waits as long as it is told to and asks again, so
// that the limits slow down and refuse nobody who keeps to them.
const (
	tokenRate   = 100 // requests per second, by token
	tokenBurst  = 2000
	failedRate  = 1 // by address, that showed no good token
	failedBurst = 20
	// mostBuckets bounds the memory that strangers take.
	mostBuckets = 10_000
	sweepEvery  = 10 * time.Second
)

// limits are buckets by name.
type limits struct {
	rate  rate.Limit
	burst int

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
	shared  *rate.Limiter // of those for whom there is no room
	swept   time.Time
}

func newLimits(perSecond float64, burst int) *limits {
	return &limits{rate: rate.Limit(perSecond), burst: burst, buckets: map[string]*rate.Limiter{}, shared: rate.NewLimiter(rate.Limit(perSecond), burst)}
}

// bucket is the one of a name. Where there are too many, those that are full go now and
// then: who comes back has lost nothing. The others share one meanwhile.
func (l *limits) bucket(name string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, there := l.buckets[name]; there {
		return b
	}
	if now := time.Now(); len(l.buckets) >= mostBuckets && now.Sub(l.swept) > sweepEvery {
		l.swept = now
		for other, b := range l.buckets {
			if b.Tokens() >= float64(l.burst) {
				delete(l.buckets, other)
			}
		}
	}
	if len(l.buckets) >= mostBuckets {
		return l.shared
	}
	b := rate.NewLimiter(l.rate, l.burst)
	l.buckets[name] = b
	return b
}

// take counts one request; wait is how long to wait where there were too many.
func (l *limits) take(name string) (wait time.Duration) {
	r := l.bucket(name).Reserve()
	if wait = r.Delay(); wait > 0 {
		r.Cancel()
	}
	return wait
}

// spent reports whether a name has used up what it has, and counts nothing. Who has no
// bucket of its own is not to blame for those who share one.
func (l *limits) spent(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, there := l.buckets[name]
	return there && b.Tokens() < 1
}

// tooMany answers who asks too often.
func tooMany(w http.ResponseWriter, who string, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(max(wait, time.Second).Seconds()))))
	turnAway(w, http.StatusTooManyRequests, &core.Error{Op: "serve", Kind: core.Transient, Err: plain(who + " asks too often"), Hint: "wait a second, and ask again"})
}

// hostOf is the address that a request comes from, without its port.
func hostOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// guests are tokens that were good when they were last seen, by their digests. Behind a
// proxy or a gateway many have one address: somebody there who shows bad tokens does not
// keep out the others. It lets nobody in: what they show is looked up all the same.
type guests struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]struct{}
}

func (g *guests) knows(secret string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, known := g.known[sha256.Sum256([]byte(secret))]
	return known
}

func (g *guests) meet(secret string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.known == nil {
		g.known = map[[sha256.Size]byte]struct{}{}
	}
	if len(g.known) < mostBuckets {
		g.known[sha256.Sum256([]byte(secret))] = struct{}{}
	}
}

func (g *guests) forget(secret string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.known, sha256.Sum256([]byte(secret)))
}
