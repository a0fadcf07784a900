package bmc

import (
	"maps"
	"slices"
)

// Setup is what a BMC and its server's firmware are set to, and what waits to be set.
// Its zero value is a server fresh from the factory. Numbers are float64, as JSON has
// them.
type Setup struct {
	BIOS    map[string]any `json:"bios,omitempty"`    // attributes that are not as the factory set them
	Waiting map[string]any `json:"waiting,omitempty"` // attributes from the next start on
	Order   []string       `json:"order,omitempty"`   // the boot order from the next start on

	InsecureNow bool `json:"insecure_now,omitempty"` // Secure Boot was off at the last start
	Insecure    bool `json:"insecure,omitempty"`     // it is off from the next start on

	Volumes []Volume `json:"volumes,omitempty"`
	Tasks   []Task   `json:"tasks,omitempty"` // oldest first
	Made    int      `json:"made,omitempty"`  // tasks and volumes so far

	// Dropped are changes that the next start does not make, by a fault: attributes, or
	// one of droppedOrder and droppedSecure.
	Dropped []string `json:"dropped,omitempty"`
	// Looks at the attributes that still find the old ones, after a start.
	Looks int `json:"looks,omitempty"`
}

const (
	droppedOrder  = "boot order"
	droppedSecure = "Secure Boot"
)

func (u Setup) clone() Setup {
	u.BIOS, u.Waiting = maps.Clone(u.BIOS), maps.Clone(u.Waiting)
	u.Order, u.Dropped = slices.Clone(u.Order), slices.Clone(u.Dropped)
	u.Volumes, u.Tasks = slices.Clone(u.Volumes), slices.Clone(u.Tasks)
	return u
}

// start is what firmware does with what waits for it.
func (s *State) start(m *Manners) {
	u := &s.Setup
	jobs := m.BIOS != nil && m.BIOS.Jobs
	job := u.waitingTask(taskBIOS)
	switch {
	case jobs && job == nil: // nothing says that it is to be done
	case job != nil && job.Hangs:
		job.State = taskRunning
	case job != nil && job.Fails:
		job.fail()
		u.forget()
	case job != nil:
		// The new values show before the job is done with them.
		job.State, job.Looks = taskRunning, 2
		s.apply()
	case len(u.Waiting) > 0 && m.BIOS.Lingers > 0:
		u.Looks = m.BIOS.Lingers
	default:
		s.apply()
	}
	if !slices.Contains(u.Dropped, droppedSecure) {
		u.InsecureNow = u.Insecure
	} else {
		u.Insecure = u.InsecureNow
	}
	u.Dropped = slices.DeleteFunc(u.Dropped, func(what string) bool { return what == droppedSecure })
	for i := range u.Tasks {
		if t := &u.Tasks[i]; t.Kind == taskVolume && t.State == taskNew {
			t.State = taskRunning
		}
	}
}

// apply puts what waits into force.
func (s *State) apply() {
	u := &s.Setup
	for name, value := range u.Waiting {
		if !slices.Contains(u.Dropped, name) {
			if u.BIOS == nil {
				u.BIOS = map[string]any{}
			}
			u.BIOS[name] = value
		}
	}
	if len(u.Order) > 0 && !slices.Contains(u.Dropped, droppedOrder) {
		s.BootOrder = u.Order
	}
	u.forget()
	u.Looks = 0
}

// forget drops what waits.
func (u *Setup) forget() {
	u.Waiting, u.Order = nil, nil
	u.Dropped = slices.DeleteFunc(u.Dropped, func(what string) bool { return what != droppedSecure })
}

// forgetAll is forget of a BMC that loses also what waits in its jobs.
func (u *Setup) forgetAll() {
	u.forget()
	u.Insecure = u.InsecureNow
	u.Tasks = slices.DeleteFunc(u.Tasks, func(t Task) bool { return t.State == taskNew })
}
