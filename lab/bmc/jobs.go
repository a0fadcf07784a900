package bmc

import (
	"net/http"
	"slices"
)

// The queue of jobs that iDRACs have besides the tasks: the same jobs, in other words.

func (b *BMC) jobsPath() string { return b.ownManagerPath() + "/Oem/Dell/Jobs" }

// hasJobs says whether this vendor has that queue.
func (b *BMC) hasJobs(r *request) bool {
	return b.manners.BIOS != nil && b.manners.BIOS.Jobs && r.ids[0] == b.manners.ManagerID
}

func (b *BMC) jobs(r *request) (resource, bool) {
	if !b.hasJobs(r) {
		return resource{}, false
	}
	var members []Task
	if r.Method == http.MethodGet {
		members = b.lookAtTasks()
	}
	return resource{
		get: func(r *request) doc {
			var paths []string
			var docs []doc
			for _, t := range members {
				paths, docs = append(paths, b.jobsPath()+"/"+t.ID), append(docs, b.jobDoc(t))
			}
			d := collection(b.jobsPath(), "DellJob", "Job Queue", paths...)
			if r.URL.Query().Has("$expand") && len(docs) > 0 {
				d["Members"] = docs
			}
			return d
		},
		post: b.makeJob, writes: is(SetBIOS), expands: true,
	}, true
}

func (b *BMC) jobDoc(t Task) doc {
	state := map[taskState]string{taskNew: "Scheduled", taskRunning: "Running", taskCompleted: "Completed", taskFailed: "Failed"}[t.State]
	kind := map[taskKind]string{taskBIOS: "BIOSConfiguration", taskVolume: "RAIDConfiguration", taskBoot: "SystemConfiguration"}[t.Kind]
	message := "Job " + state + "."
	if t.State == taskFailed {
		message = b.manners.message(TaskFailed).Text
	}
	return doc{
		"@odata.id": b.jobsPath() + "/" + t.ID, "@odata.type": "#DellJob.v1_4_0.DellJob",
		"Id": t.ID, "Name": "Configure: " + kind, "JobType": kind, "JobState": state, "Message": message,
	}
}

// makeJob makes a job of what waits.
func (b *BMC) makeJob(r *request) answer {
	m := check(r.object, []param{{name: "TargetSettingsURI", values: []string{b.biosSettingsPath()}, needed: true}}, "", propertyUnknown, propertyMissing)
	if m != nil {
		return b.fail(*m)
	}
	var location string
	var cause Cause
	b.update(func(s *State) {
		switch u := &s.Setup; {
		case u.openTask(taskBIOS):
			cause = SettingsCommitted
		case len(u.Waiting) == 0:
			cause = NothingWaits
		default:
			t := b.biosTask(r)
			t.Hidden = 0
			u.add(t)
			location = b.jobsPath() + "/" + u.Tasks[len(u.Tasks)-1].ID
		}
	})
	if cause != "" {
		return b.refuse(cause)
	}
	return answer{status: http.StatusOK}.with("Location", location)
}

func (b *BMC) job(r *request) (resource, bool) {
	if !b.hasJobs(r) {
		return resource{}, false
	}
	t, found := b.taskAt(r, r.ids[1])
	return resource{
		get: func(*request) doc { return b.jobDoc(t) },
		delete: func(*request) answer {
			// What waits goes with the job that was to do it.
			b.update(func(s *State) {
				s.Setup.Tasks = slices.DeleteFunc(s.Setup.Tasks, func(o Task) bool { return o.ID == t.ID && o.State == taskNew })
				if t.Kind == taskBIOS && t.State == taskNew {
					s.Setup.forget()
				}
			})
			return b.done()
		},
		writes: is(SetBIOS),
	}, found
}
