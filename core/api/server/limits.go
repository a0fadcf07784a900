package server

import (
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
)

// limits are buckets by name.
type limits struct {
	rate  rate.Limit
	burst int

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

func newLimits(perSecond float64, burst int) *limits {
	return &limits{rate: rate.Limit(perSecond), burst: burst, buckets: map[string]*rate.Limiter{}}
}

// bucket is the one of a name. Where there are too many, those that are full go: who
// comes back has lost nothing.
func (l *limits) bucket(name string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, there := l.buckets[name]
	if there {
		return b
	}
	if len(l.buckets) >= mostBuckets {
		for other, b := range l.buckets {
			if b.Tokens() >= float64(l.burst) {
				delete(l.buckets, other)
			}
		}
	}
	if len(l.buckets) >= mostBuckets {
		name = "" // all the others share one
	}
	if b, there = l.buckets[name]; !there {
		b = rate.NewLimiter(l.rate, l.burst)
		l.buckets[name] = b
	}
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

// spent reports whether a name has used up what it has, and counts nothing.
func (l *limits) spent(name string) bool { return l.bucket(name).Tokens() < 1 }

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
