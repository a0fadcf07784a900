package redfish

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/stmcginnis/gofish/schemas"
)

// Jobs of iDRACs. A change of BIOS attributes waits there for ever unless a job is to
// make it; a change that tells its apply time makes its job, one by other hands may not
// have. A scheduled job shuts what waits against changes.

// queueOfJobs are those of one kind, oldest first; none where the BMC is no iDRAC.
type queueOfJobs []job

type job struct {
	Link    string `json:"@odata.id"`
	ID      text   `json:"Id"`
	Type    text   `json:"JobType"`
	State   text   `json:"JobState"`
	Message text   `json:"Message"`
}

func (j job) String() string { return "its job " + string(j.ID) + " " + string(j.State) }

// runs is that it is under way instead of waiting for a start.
func (j job) runs() bool {
	return !slices.Contains([]text{"Scheduled", "ScheduledWithErrors", "New", "Pending"}, j.State)
}

// over is that it has ended in whatever way.
func (j job) over() bool {
	return strings.HasPrefix(string(j.State), "Completed") || strings.Contains(string(j.State), "Fail") || j.State == ""
}

func (q queueOfJobs) open() (job, bool) {
	i := slices.IndexFunc(q, func(j job) bool { return !j.over() })
	if i < 0 {
		return job{}, false
	}
	return q[i], true
}

// lastFailure is what the last job says, where it failed.
func (q queueOfJobs) lastFailure() string {
	if len(q) == 0 || !strings.Contains(string(q[len(q)-1].State), "Fail") {
		return ""
	}
	last := q[len(q)-1]
	return last.String() + ": " + string(last.Message)
}

// queue are the jobs for the attributes.
func (t talk) queue(f bios) (queueOfJobs, error) {
	if f.jobs == "" {
		return nil, nil
	}
	return t.jobsFor(f.jobs, "BIOS")
}

// jobsFor reads the jobs in one request: a queue may hold hundreds.
func (t talk) jobsFor(queue, kind string) (queueOfJobs, error) {
	var found struct{ Members []job }
	if _, err := t.get(queue+"?$expand=*($levels=1)", &found); err != nil {
		return nil, err
	}
	var q queueOfJobs
	for _, j := range found.Members {
		if strings.HasPrefix(string(j.Type), kind) {
			q = append(q, j)
		}
	}
	slices.SortStableFunc(q, func(a, b job) int {
		return cmp.Or(cmp.Compare(len(a.ID), len(b.ID)), cmp.Compare(a.ID, b.ID)) // they are numbered
	})
	return q, nil
}

// ensureJob makes the job for what waits, where there must be one and is none.
func (t talk) ensureJob(f bios) error {
	if f.jobs == "" {
		return nil
	}
	open := func() (bool, string, error) {
		jobs, err := t.queue(f)
		_, open := jobs.open()
		return open, "no job for what waits", err
	}
	if there, _, err := open(); there || err != nil {
		return err
	}
	return t.settle(func() error {
		_, err := t.deliver(f.jobs, func(path string) (*http.Response, error) {
			return t.client.Post(path, map[string]string{"TargetSettingsURI": f.link})
		})
		return err
	}, open)
}

func (t talk) deleteJob(j job) error {
	return t.settle(
		func() error {
			_, err := t.deliver(j.Link, func(path string) (*http.Response, error) { return t.client.Delete(path) })
			return err
		},
		func() (bool, string, error) {
			var now job
			_, err := t.get(j.Link, &now)
			if statusOf(err) == http.StatusNotFound {
				return true, "", nil
			}
			return now.over(), now.String(), err
		},
	)
}

// isCommitted reports a refusal because a job has what waits already.
func isCommitted(err error) bool {
	var answer *schemas.Error
	return errors.As(err, &answer) && (slices.Contains(messageIDs(answer), "SYS011") || strings.Contains(said(answer), "already committed"))
}
