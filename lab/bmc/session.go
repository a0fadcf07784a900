package bmc

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// sessionTimeout is how long a session lives after its last use.
const sessionTimeout = 30 * time.Minute

// Session is a login that was not logged out.
type Session struct {
	ID       string    `json:"id"`
	User     string    `json:"user"`
	Created  time.Time `json:"created"`
	LastUsed time.Time `json:"last_used"`
	token    string
}

// Sessions returns the sessions that are open, oldest first: what is there when
// all clients are done was leaked.
func (b *BMC) Sessions() []Session {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expireSessions()
	return slices.Clone(b.sessions)
}

func (b *BMC) expireSessions() {
	limit := b.config.Now().Add(-sessionTimeout)
	b.sessions = slices.DeleteFunc(b.sessions, func(s Session) bool { return s.LastUsed.Before(limit) })
}

func equal(x, y string) bool { return subtle.ConstantTimeCompare([]byte(x), []byte(y)) == 1 }

// authenticated checks the token or the Basic credentials of a request.
func (b *BMC) authenticated(r *request) bool {
	if token := r.Header.Get("X-Auth-Token"); token != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.expireSessions()
		i := slices.IndexFunc(b.sessions, func(s Session) bool { return equal(s.token, token) })
		if i < 0 {
			return false
		}
		b.sessions[i].LastUsed = b.config.Now()
		return true
	}
	user, password, ok := r.BasicAuth()
	return ok && b.credentials(user, password)
}

func (b *BMC) credentials(user, password string) bool {
	// Both are compared, so that the time tells nothing about the user's name.
	u, p := equal(user, b.config.User), equal(password, b.config.Password)
	return u && p
}

const (
	sessionServicePath = "/redfish/v1/SessionService"
	sessionsPath       = sessionServicePath + "/Sessions"
)

func (b *BMC) sessionService(*request) (resource, bool) {
	return resource{get: func(*request) doc {
		return doc{
			"@odata.id": sessionServicePath, "@odata.type": "#SessionService.v1_1_8.SessionService",
			"Id": "SessionService", "Name": "Session Service", "ServiceEnabled": true,
			"SessionTimeout": int(sessionTimeout.Seconds()), "Sessions": link(sessionsPath),
		}
	}}, true
}

func (b *BMC) sessionCollection(*request) (resource, bool) {
	return resource{
		get: func(*request) doc {
			var paths []string
			for _, s := range b.Sessions() {
				paths = append(paths, sessionsPath+"/"+s.ID)
			}
			return collection(sessionsPath, "Session", "Session Collection", paths...)
		},
		post: b.login, open: []string{http.MethodPost}, writes: is(Login),
	}, true
}

func sessionDoc(s Session) doc {
	return doc{
		"@odata.id": sessionsPath + "/" + s.ID, "@odata.type": "#Session.v1_3_0.Session",
		"Id": s.ID, "Name": "User Session", "UserName": s.User, "Password": nil,
		"CreatedTime": s.Created.UTC().Format(time.RFC3339),
	}
}

func (b *BMC) login(r *request) answer {
	m := check(r.object, []param{{name: "UserName", needed: true}, {name: "Password", needed: true}, {name: "SessionType"}, {name: "Context"}},
		"", propertyUnknown, propertyMissing)
	if m != nil {
		return b.fail(*m)
	}
	if !b.credentials(stringOf(r.object, "UserName"), stringOf(r.object, "Password")) {
		return b.refuse(BadCredentials)
	}
	limit := b.manners.MaxSessions
	if limit == 0 {
		limit = 16
	}
	b.mu.Lock()
	b.expireSessions()
	if len(b.sessions) >= limit {
		b.mu.Unlock()
		return b.refuse(SessionLimit)
	}
	b.nextID++
	now := b.config.Now()
	s := Session{ID: strconv.Itoa(b.nextID), User: b.config.User, Created: now, LastUsed: now, token: rand.Text()}
	b.sessions = append(b.sessions, s)
	b.mu.Unlock()
	return answer{status: http.StatusCreated, body: encode(sessionDoc(s))}.
		with("Location", sessionsPath+"/"+s.ID).with("X-Auth-Token", s.token)
}

func (b *BMC) session(r *request) (resource, bool) {
	for _, s := range b.Sessions() {
		if s.ID == r.ids[0] {
			return resource{get: func(*request) doc { return sessionDoc(s) }, delete: b.logout}, true
		}
	}
	return resource{}, false
}

func (b *BMC) logout(r *request) answer {
	b.mu.Lock()
	b.sessions = slices.DeleteFunc(b.sessions, func(s Session) bool { return s.ID == r.ids[0] })
	b.mu.Unlock()
	return answer{status: http.StatusNoContent}
}
