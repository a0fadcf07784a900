package bmc

import (
	"net/http"
	"strconv"
)

func (b *BMC) chassisCollection(*request) (resource, bool) {
	return plain(func() doc {
		return collection(chassisPath, "Chassis", "Chassis Collection", b.ownChassisPath())
	}), true
}

func (b *BMC) chassis(r *request) (resource, bool) {
	return resource{get: func(r *request) doc {
		f := b.facts()
		return doc{
			"@odata.id": b.ownChassisPath(), "@odata.type": "#Chassis.v1_18_0.Chassis",
			"Id": b.manners.ChassisID, "Name": "Chassis", "ChassisType": "RackMount",
			"Manufacturer": f.Manufacturer, "Model": f.Model, "SerialNumber": f.Serial,
			"AssetTag": b.State().AssetTag, "PowerState": b.powerDoc(r), "IndicatorLED": "Off", "Status": healthy(),
			"Links": doc{"ComputerSystems": links(b.systemPath()), "ManagedBy": links(b.ownManagerPath())},
		}
	}}, r.ids[0] == b.manners.ChassisID
}

func (b *BMC) managers(*request) (resource, bool) {
	return plain(func() doc {
		return collection(managersPath, "Manager", "Manager Collection", b.ownManagerPath())
	}), true
}

func (b *BMC) manager(r *request) (resource, bool) {
	return plain(func() doc {
		path := b.ownManagerPath()
		d := doc{
			"@odata.id": path, "@odata.type": "#Manager.v1_13_0.Manager",
			"Id": b.manners.ManagerID, "Name": "Manager", "ManagerType": "BMC",
			"Model": b.manners.Product, "FirmwareVersion": b.manners.Firmware, "UUID": b.facts().UUID,
			"PowerState": "On", "Status": healthy(),
			"Links": doc{"ManagerForServers": links(b.systemPath()), "ManagerForChassis": links(b.ownChassisPath())},
			"Actions": doc{"#Manager.Reset": doc{
				"target":                            path + "/Actions/Manager.Reset",
				"ResetType@Redfish.AllowableValues": managerResets,
			}},
		}
		if b.manners.SlotsUnder != UnderSystems {
			d["VirtualMedia"] = link(path + "/VirtualMedia")
		}
		b.tellShells(d)
		return d
	}), r.ids[0] == b.manners.ManagerID
}

const (
	taskServicePath = "/redfish/v1/TaskService"
	tasksPath       = taskServicePath + "/Tasks"
)

// task is the last job of a BMC that makes jobs of changes. It is done from the
// start, but only found by the second look.
type task struct {
	id    string
	found bool
}

// newTask makes a job and returns its path.
func (b *BMC) newTask() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nextID++
	b.task = &task{id: "JID_" + strconv.Itoa(b.nextID)}
	return tasksPath + "/" + b.task.id
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
		b.mu.Lock()
		defer b.mu.Unlock()
		var paths []string
		if b.task != nil && b.task.found {
			paths = append(paths, tasksPath+"/"+b.task.id)
		}
		return collection(tasksPath, "Task", "Task Collection", paths...)
	}), true
}

func (b *BMC) taskResource(r *request) (resource, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.task == nil || b.task.id != r.ids[0] || r.Method != http.MethodGet {
		return resource{}, false
	}
	if !b.task.found {
		b.task.found = true
		return resource{}, false
	}
	return plain(func() doc {
		return doc{
			"@odata.id": tasksPath + "/" + r.ids[0], "@odata.type": "#Task.v1_5_1.Task",
			"Id": r.ids[0], "Name": "Task", "TaskState": "Completed", "TaskStatus": "OK", "PercentComplete": 100,
		}
	}), true
}
