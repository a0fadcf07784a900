package redfish

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/stmcginnis/gofish/schemas"
)

// finish follows a job that a BMC made of a request (202 with a Location), so that
// a failure is known with its reason and not by a state that never comes. One that waits
// for the next start must not be waited for: the state that is read back decides.
func (t talk) finish(job string) error {
	f := follower{talk: t, job: job}
	_, _, err := t.until(t.options.Doubt, func() (bool, string, error) {
		state, over, err := f.look()
		return over, "its job " + string(state), err
	})
	return err
}

// follower looks at a job that a BMC made of a request.
type follower struct {
	talk
	job     string
	missing int // how often it was looked for in vain
}

// look tells the job's state, or that it is over: done, or gone, so that it has nothing to
// tell. One that failed is a failedJobError.
func (f *follower) look() (state schemas.TaskState, over bool, err error) {
	var task schemas.Task
	_, err = f.get(f.job, &task)
	var foreign *notRedfishError
	switch {
	case statusOf(err) == http.StatusNotFound || statusOf(err) == http.StatusGone:
		// Some name a job before it exists.
		f.missing++
		return "under way", f.missing > f.manners.LateJobPolls, nil
	case errors.As(err, &foreign):
		return "", true, nil // the answer of the request itself, which may be empty
	case err != nil:
		return "", false, err
	}
	switch task.TaskState {
	case schemas.ExceptionTaskState, schemas.KilledTaskState, schemas.CancelledTaskState, schemas.InterruptedTaskState:
		return "", false, &failedJobError{state: string(task.TaskState), messages: task.Messages}
	case schemas.CompletedTaskState, "":
		return "", true, nil
	}
	return task.TaskState, false, nil
}

// failedJobError is a job that a BMC took and then gave up.
type failedJobError struct {
	state    string
	messages []schemas.Message
}

func (j *failedJobError) Error() string {
	var texts []string
	for _, m := range j.messages {
		texts = append(texts, sentence(m.Message, m.MessageID))
	}
	return fmt.Sprintf("its job ended as %s: %s", j.state, strings.Join(texts, " "))
}
