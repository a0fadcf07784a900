package bmc

import (
	"net/http"
	"slices"
	"strconv"
)

const (
	taskServicePath = "/redfish/v1/TaskService"
	tasksPath       = taskServicePath + "/Tasks"
)

// Task is a job of a BMC that makes jobs of changes. It goes on when it is looked at.
type Task struct {
	ID    string    `json:"id"`
	Kind  taskKind  `json:"kind"`
	State taskState `json:"state"`

	Method string `json:"method,omitempty"` // of the request that made it
	Target string `json:"target,omitempty"`

	Hidden int `json:"hidden,omitempty"` // looks that do not find it yet
	Looks  int `json:"looks,omitempty"`  // more looks that find it running

	Fails bool `json:"fails,omitempty"` // by a fault, as are the next ones
	Hangs bool `json:"hangs,omitempty"`
	Idles bool `json:"idles,omitempty"` // is done, and has done nothing

	Make   *Volume `json:"make,omitempty"`
	Delete string  `json:"delete,omitempty"` // ID of a volume
}

type taskKind string

const (
	taskBoot   taskKind = "boot"
	taskBIOS   taskKind = "bios"
	taskVolume taskKind = "volume"
)

type taskState string

const (
	taskNew       taskState = "New" // waits for the next start
	taskRunning   taskState = "Running"
	taskCompleted taskState = "Completed"
	taskFailed    taskState = "Exception"
)

func (t *Task) open() bool { return t.State == taskNew || t.State == taskRunning }

func (t *Task) fail() { t.State = taskFailed }

// keptTasks is how many a BMC remembers.
const keptTasks = 32

// add makes a task of a request and returns its path.
func (u *Setup) add(t Task) string {
	u.Made++
	t.ID = "JID_" + strconv.Itoa(u.Made)
	u.Tasks = append(u.Tasks, t)
	for i := 0; len(u.Tasks) > keptTasks && i < len(u.Tasks); {
		if u.Tasks[i].open() {
			i++
			continue
		}
		u.Tasks = slices.Delete(u.Tasks, i, i+1)
	}
	return tasksPath + "/" + t.ID
}

// waitingTask is the task of a kind that waits for the next start, or nil.
func (u *Setup) waitingTask(k taskKind) *Task {
	for i := range u.Tasks {
		if t := &u.Tasks[i]; t.Kind == k && t.State == taskNew {
			return t
		}
	}
	return nil
}

// openTask says whether a task of a kind is not done yet.
func (u Setup) openTask(k taskKind) bool {
	return slices.ContainsFunc(u.Tasks, func(t Task) bool { return t.Kind == k && t.open() })
}

// look lets a task go on that somebody looks at, and reports whether it is found.
func (u *Setup) look(t *Task) bool {
	if t.Hidden > 0 {
		t.Hidden--
		return false
	}
	switch {
	case t.State != taskRunning || t.Hangs:
	case t.Looks > 0:
		t.Looks--
	case t.Fails:
		t.fail()
	default:
		t.State = taskCompleted
		u.finish(*t)
	}
	return true
}

func (b *BMC) taskService(*request) (resource, bool) {
	return plain(func() doc {
		return doc{
			"@odata.id": taskServicePath, "@odata.type": "#TaskService.v1_2_0.TaskService",
			"Id": "TaskService", "Name": "Task Service", "ServiceEnabled": true, "Tasks": link(tasksPath),
		}
	}), true
}

func (b *BMC) taskCollection(*request) (resource, bool) {
	return plain(func() doc {
		var paths []string
		for _, t := range b.State().Setup.Tasks {
			if t.Hidden == 0 {
				paths = append(paths, tasksPath+"/"+t.ID)
			}
		}
		return collection(tasksPath, "Task", "Task Collection", paths...)
	}), true
}

// taskAt is the task with an ID after a look at it.
func (b *BMC) taskAt(r *request, id string) (t Task, found bool) {
	b.update(func(s *State) {
		i := slices.IndexFunc(s.Setup.Tasks, func(t Task) bool { return t.ID == id })
		if i < 0 {
			return
		}
		task := &s.Setup.Tasks[i]
		found = r.Method != http.MethodGet || s.Setup.look(task)
		t = *task
	})
	return t, found
}

// lookAtTasks is a look at all of them; it returns those that are found.
func (b *BMC) lookAtTasks() (found []Task) {
	b.update(func(s *State) {
		for i := range s.Setup.Tasks {
			if s.Setup.look(&s.Setup.Tasks[i]) {
				found = append(found, s.Setup.Tasks[i])
			}
		}
	})
	return found
}

func (b *BMC) taskResource(r *request) (resource, bool) {
	t, found := b.taskAt(r, r.ids[0])
	res := plain(func() doc {
		health, percent, messages := "OK", 0, []doc{}
		switch t.State {
		case taskRunning:
			percent = 40
		case taskCompleted:
			percent = 100
		case taskFailed:
			health = "Critical"
			m := b.manners.message(TaskFailed)
			messages = append(messages, doc{"MessageId": b.manners.messageID(m.ID), "Message": m.Text})
		}
		return doc{
			"@odata.id": tasksPath + "/" + t.ID, "@odata.type": "#Task.v1_5_1.Task",
			"Id": t.ID, "Name": "Task", "TaskState": t.State, "TaskStatus": health, "PercentComplete": percent,
			"Messages": messages, "Payload": doc{"HttpOperation": t.Method, "TargetUri": t.Target},
		}
	})
	res.reads = TaskRead
	return res, found
}
