package bmc

import (
	"net/http"
	"time"
)

// withFault serves a request, unless its fault answers instead.
func (b *BMC) withFault(r *request, serve func() answer) answer {
	f := r.fault
	switch {
	case f == nil || f.Kind == Lie || f.Kind == Late || f.Kind == Drop || f.Kind == Forget || f.Kind == TaskFails || f.Kind == TaskHangs:
		return serve() // these act within
	case f.Kind == Ignore:
		return b.done()
	case f.Kind == Hang && f.After:
		a := serve()
		if !f.hold(r) {
			a.cut = true
		}
		return a
	case f.Kind == Hang:
		if !f.hold(r) {
			return answer{cut: true}
		}
		return serve()
	case f.After:
		serve()
	}
	return b.broken(f)
}

// broken is the answer of a fault that does not let the real one out.
func (b *BMC) broken(f *active) answer {
	switch f.Kind {
	case Fail:
		m := internalError()
		m.Status = f.Status
		return b.fail(m)
	case Garbage:
		return answer{status: http.StatusOK, body: []byte(`{"@odata.id": "/redfish/v1/Systems", "Members": [{"@oda`)}
	case HTML:
		return answer{status: http.StatusOK, body: []byte("<!DOCTYPE html><html><head><title>Login</title></head><body>Welcome</body></html>\n")}.
			with("Content-Type", "text/html")
	case Unauthorized:
		return b.refuse(BadCredentials)
	case Refuse:
		return b.refuse(MediaUnreachable)
	}
	return answer{cut: true} // Cut
}

// hold keeps a request until its fault is cleared or its delay is over, and
// says whether the client is still there.
func (f *active) hold(r *request) bool {
	var over <-chan time.Time
	if f.Delay > 0 {
		timer := time.NewTimer(time.Duration(f.Delay))
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-r.Context().Done():
		return false
	case <-f.cleared:
	case <-over:
	}
	return true
}

// lie is the power state that a fault tells.
func (f *active) lie(truth PowerState) PowerState {
	switch {
	case f.Power != "":
		return f.Power
	case truth == Off || truth == PoweringOff:
		return On
	}
	return Off
}
