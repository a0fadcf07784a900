//go:build hybrid && linux

package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// cloud is as much of Hetzner Cloud's API as its provider takes for servers and SSH
// keys. Everything is done at once.
type cloud struct {
	mu   sync.Mutex
	next int64
	held map[string]map[int64]thing // by "servers" and "ssh_keys"
	seen []string                   // user data of the servers
}

type thing = map[string]any

func newCloud(t *testing.T) (*cloud, string) {
	c := &cloud{next: 1, held: map[string]map[int64]thing{"servers": {}, "ssh_keys": {}}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/server_types", c.list("server_types", thing{"id": 1, "name": "cx23", "architecture": "x86", "cores": 2, "memory": 4, "disk": 40}))
	mux.HandleFunc("GET /v1/images", c.list("images", thing{"id": 1, "name": "debian-12", "type": "system", "status": "available", "architecture": "x86"}))
	for kind, one := range map[string]string{"servers": "server", "ssh_keys": "ssh_key"} {
		mux.HandleFunc("POST /v1/"+kind, c.create(kind, one))
		mux.HandleFunc("GET /v1/"+kind+"/{id}", c.with(kind, func(id int64) any { return thing{one: c.held[kind][id]} }))
		mux.HandleFunc("DELETE /v1/"+kind+"/{id}", c.with(kind, func(id int64) any {
			delete(c.held[kind], id)
			return thing{"action": done}
		}))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the cloud was asked for %s %s", r.Method, r.URL)
		http.NotFound(w, r)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return c, server.URL + "/v1"
}

var done = thing{"id": 1, "status": "success", "command": "any", "progress": 100, "started": time.Unix(0, 0)}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (c *cloud) list(kind string, all ...thing) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, thing{kind: all}) }
}

func (c *cloud) create(kind, one string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		made := thing{}
		if err := json.NewDecoder(r.Body).Decode(&made); err != nil {
			answer(w, http.StatusBadRequest, thing{"error": thing{"code": "invalid_input", "message": err.Error()}})
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		id := c.next
		c.next++
		made["id"], made["created"] = id, time.Unix(0, 0)
		if kind == "servers" {
			c.seen = append(c.seen, fmt.Sprint(made["user_data"]))
			made["status"], made["location"] = "running", thing{"id": 1, "name": "fsn1"}
			made["server_type"], made["image"] = thing{"id": 1, "name": "cx23", "architecture": "x86"}, thing{"id": 1, "name": "debian-12"}
			made["public_net"] = thing{"ipv4": thing{"id": id, "ip": fmt.Sprintf("192.0.2.%d", id)}, "ipv6": thing{"id": id, "ip": "2001:db8::/64"}}
		}
		c.held[kind][id] = made
		answer(w, http.StatusCreated, thing{one: made, "action": done, "next_actions": []thing{}})
	}
}

// with answers for one that there is.
func (c *cloud) with(kind string, f func(id int64) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		if _, there := c.held[kind][id]; err != nil || !there {
			answer(w, http.StatusNotFound, thing{"error": thing{"code": "not_found", "message": path.Base(r.URL.Path) + " is not there"}})
			return
		}
		answer(w, http.StatusOK, f(id))
	}
}

// servers are the names of those that there are.
func (c *cloud) servers() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := []string{}
	for _, s := range c.held["servers"] {
		names = append(names, fmt.Sprint(s["name"]))
	}
	slices.Sort(names)
	return names
}
