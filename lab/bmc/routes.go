package bmc

import (
	"net/http"
	"strings"
)

// resource is what there is at a path: what can be done with it.
type resource struct {
	get    func(*request) doc
	raw    func(*request) answer // a GET whose answer is no document
	patch  func(*request) answer
	post   func(*request) answer
	delete func(*request) answer

	open         []string // methods that need no credentials
	reads        Verb     // of a GET; "" means Read
	writes       func(*request) Verb
	expands      bool // a GET may ask for the members themselves
	etagRequired bool // a PATCH must name the ETag
}

func (res resource) public(method string) bool {
	for _, m := range res.open {
		if m == method {
			return true
		}
	}
	return false
}

func (res resource) method(name string) func(*request) answer {
	switch name {
	case http.MethodGet, http.MethodHead:
		if res.raw != nil {
			return res.raw
		}
		if res.get != nil {
			return func(r *request) answer { return read(r, res.get(r)) }
		}
	case http.MethodPatch:
		return res.patch
	case http.MethodPost:
		return res.post
	case http.MethodDelete:
		return res.delete
	}
	return nil
}

// allow is the Allow header. Clients look for PATCH in it to learn how media
// is inserted.
func (res resource) allow() string {
	var methods []string
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPatch, http.MethodPost, http.MethodDelete} {
		if res.method(m) != nil {
			methods = append(methods, m)
		}
	}
	return strings.Join(methods, ", ")
}

// route leads from a path to a resource. A segment {} of the pattern matches
// any one segment, which is appended to request.ids; the function says whether
// such a resource exists with this vendor.
type route struct {
	pattern  string
	resource func(*BMC, *request) (resource, bool)
}

var routes = []route{
	{"redfish", (*BMC).versions},
	{"redfish/v1", (*BMC).root},
	{"redfish/v1/odata", (*BMC).odata},
	{"redfish/v1/$metadata", (*BMC).metadata},
	{"redfish/v1/SessionService", (*BMC).sessionService},
	{"redfish/v1/SessionService/Sessions", (*BMC).sessionCollection},
	{"redfish/v1/SessionService/Sessions/{}", (*BMC).session},
	{"redfish/v1/TaskService", (*BMC).taskService},
	{"redfish/v1/TaskService/Tasks", (*BMC).taskCollection},
	{"redfish/v1/TaskService/Tasks/{}", (*BMC).taskResource},
	{"redfish/v1/Systems", (*BMC).systems},
	{"redfish/v1/Systems/{}", (*BMC).system},
	{"redfish/v1/Systems/{}/Actions/ComputerSystem.Reset", (*BMC).systemReset},
	{"redfish/v1/Systems/{}/BootOptions", (*BMC).bootOptions},
	{"redfish/v1/Systems/{}/BootOptions/{}", (*BMC).bootOption},
	{"redfish/v1/Systems/{}/Processors", (*BMC).processors},
	{"redfish/v1/Systems/{}/Processors/{}", (*BMC).processor},
	{"redfish/v1/Systems/{}/Memory", (*BMC).dimms},
	{"redfish/v1/Systems/{}/Memory/{}", (*BMC).dimm},
	{"redfish/v1/Systems/{}/EthernetInterfaces", (*BMC).nics},
	{"redfish/v1/Systems/{}/EthernetInterfaces/{}", (*BMC).nic},
	{"redfish/v1/Systems/{}/Storage", (*BMC).storages},
	{"redfish/v1/Systems/{}/Storage/{}", (*BMC).storage},
	{"redfish/v1/Systems/{}/Storage/{}/Drives/{}", (*BMC).drive},
	{"redfish/v1/Systems/{}/Storage/{}/Volumes", (*BMC).volumes},
	{"redfish/v1/Systems/{}/Storage/{}/Volumes/{}", (*BMC).volume},
	{"redfish/v1/Systems/{}/SecureBoot", (*BMC).secureBoot},
	{"redfish/v1/Systems/{}/Bios/BiosRegistry", (*BMC).registry},
	{"redfish/v1/{}/{}/VirtualMedia", (*BMC).media},
	{"redfish/v1/{}/{}/VirtualMedia/{}", (*BMC).slotResource},
	{"redfish/v1/{}/{}/VirtualMedia/{}/Actions/VirtualMedia.InsertMedia", (*BMC).slotInsert},
	{"redfish/v1/{}/{}/VirtualMedia/{}/Actions/VirtualMedia.EjectMedia", (*BMC).slotEject},
	{"redfish/v1/Systems/{}/{}", (*BMC).bootSettings},
	{"redfish/v1/Systems/{}/{}", (*BMC).orderSettings},
	{"redfish/v1/Systems/{}/{}", (*BMC).bios},
	{"redfish/v1/Systems/{}/{}/{}", (*BMC).biosSettings},
	{"redfish/v1/Chassis", (*BMC).chassisCollection},
	{"redfish/v1/Chassis/{}", (*BMC).chassis},
	{"redfish/v1/Managers", (*BMC).managers},
	{"redfish/v1/Managers/{}", (*BMC).manager},
	{"redfish/v1/Managers/{}/NetworkProtocol", (*BMC).networkProtocol},
	{"redfish/v1/Managers/{}/Actions/Manager.Reset", (*BMC).managerReset},
	{"redfish/v1/Managers/{}/Oem/Dell/Jobs", (*BMC).jobs},
	{"redfish/v1/Managers/{}/Oem/Dell/Jobs/{}", (*BMC).job},
	{"redfish/v1/UpdateService", (*BMC).updateService},
	{"redfish/v1/UpdateService/FirmwareInventory", (*BMC).inventory},
	{"redfish/v1/UpdateService/FirmwareInventory/{}", (*BMC).inventoryEntry},
	{"redfish/v1/Registries", (*BMC).registries},
	{"redfish/v1/Registries/{}", (*BMC).registryFile},
	{"redfish/v1/Registries/{}/{}", (*BMC).registry},
	{"redfish/v1/registrystore/registries/en/{}", (*BMC).registry},
	{"redfish/v1/schemas/registries/{}", (*BMC).registry},
	{"registries/{}", (*BMC).registry},
}

// find returns the resource at the request's path, the first that matches.
func (b *BMC) find(r *request) (resource, bool) {
	path := strings.Trim(r.URL.Path, "/")
	for _, route := range routes {
		ids, ok := match(route.pattern, path)
		if !ok {
			continue
		}
		r.ids = ids
		if res, ok := route.resource(b, r); ok {
			return res, true
		}
	}
	return resource{}, false
}

// match compares a path with a pattern, segment by segment.
func match(pattern, path string) (ids []string, ok bool) {
	for {
		p, prest, pmore := strings.Cut(pattern, "/")
		s, srest, smore := strings.Cut(path, "/")
		switch {
		case pmore != smore:
			return nil, false
		case p == "{}" && s != "":
			ids = append(ids, s)
		case p != s:
			return nil, false
		}
		if !pmore {
			return ids, true
		}
		pattern, path = prest, srest
	}
}
