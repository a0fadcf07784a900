package redfish

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// What is kept in Endpoint.Links: addresses of resources, and the few facts that a
// verb would otherwise have to read first.
const (
	linkSystem  = "system"
	linkManager = "manager"
	linkReset   = "reset" // target of the system's Reset action
	linkBoot    = "boot"  // resource that boot settings are written to
	linkMedia   = "media" // virtual media slot for a CD; its actions are read with it

	factVendor   = "vendor"
	factModel    = "model"
	factFirmware = "firmware"
	factResets   = "resets"      // allowable reset types, with commas
	factTarget   = "boot target" // how the virtual CD is called as a boot source
	factMode     = "boot mode"   // sent along with it; "" where the system shows none
	factConsole  = "console"     // port of the SSH that leads to the serial console; "" where none is offered
	factEntry    = "console entry"
)

// most bounds collections; a server has fewer of anything.
const most = 512

// knows reports whether verbs can do without a walk.
func (b *conversation) knows() bool {
	return b.links[linkSystem] != "" && b.links[linkReset] != ""
}

// walk finds the resources from the service root on, and replaces the links.
func (t talk) walk() error {
	_, _, err := t.explore()
	return err
}

// explore is walk for those who also want what it found. others are systems that
// are parts of the server, such as a GPU baseboard.
func (t talk) explore() (s system, others []string, err error) {
	var r root
	if _, err := t.get("/redfish/v1/", &r); err != nil {
		return system{}, nil, err
	}
	if r.Systems == "" {
		return system{}, nil, &missingError{"collection of systems: its service root names none"}
	}
	s, others, err = t.findSystem(string(r.Systems))
	if err != nil {
		return system{}, nil, err
	}
	managers := s.Links.ManagedBy.ToStrings()
	if len(managers) == 0 && r.Managers != "" {
		if managers, err = t.members(string(r.Managers)); err != nil {
			return system{}, nil, err
		}
	}

	links := map[string]string{
		linkSystem: s.ID,
		linkReset:  s.Actions.Reset.Target,
		factVendor: firstOf(string(s.Manufacturer), r.Vendor),
		factModel:  string(s.Model),
	}
	var boards []manager
	for _, link := range managers {
		var m manager
		if _, err := t.get(link, &m); err != nil {
			return system{}, nil, err
		}
		if links[linkManager] == "" {
			links[linkManager], links[factFirmware] = link, string(m.FirmwareVersion)
		}
		boards = append(boards, m)
	}
	if links[linkReset] == "" {
		links[linkReset] = strings.TrimSuffix(s.ID, "/") + "/Actions/ComputerSystem.Reset"
	}
	t.manners = mannersOf(links[factVendor], links[factModel], links[factFirmware])
	links[factResets] = strings.Join(t.resetTypes(s), ",")
	links[linkBoot] = bootResource(s, t.manners)
	links[factTarget], links[factMode] = bootTarget(s.Boot, t.manners), bootMode(s.Boot, t.manners)

	slots, err := t.slots(s, boards)
	if err != nil {
		return system{}, nil, err
	}
	if len(slots) > 0 {
		links[linkMedia] = slots[0].ID
	}
	if o, err := t.findConsole(s, boards); err == nil {
		links[factConsole], links[factEntry] = strconv.Itoa(o.port), strings.Join(o.entry, ";")
	}
	for key, value := range links {
		if value == "" {
			delete(links, key)
		}
	}
	t.links = links
	return s, others, nil
}

// findSystem reads the systems and chooses the server among them.
func (t talk) findSystem(collection string) (s system, others []string, err error) {
	links := []string{t.at.system}
	if t.at.system == "" {
		if links, err = t.members(collection); err != nil {
			return system{}, nil, err
		}
	}
	var systems []system
	for _, link := range links {
		if isPart(link) && t.at.system == "" {
			others = append(others, link)
			continue
		}
		var s system
		if _, err := t.get(link, &s); err != nil {
			return system{}, nil, err
		}
		if s.ID == "" {
			s.ID = link
		}
		systems = append(systems, s)
	}
	s, err = chooseSystem(systems)
	return s, others, err
}

// isPart tells the boards of NVIDIA's HGX machines, which show themselves as
// systems next to the server that they are built into.
func isPart(link string) bool { return strings.HasPrefix(path.Base(link), "HGX_") }

// chooseSystem never takes just the first: resetting the wrong one harms somebody
// else. Where one test leaves several, the next one narrows them; a test that none
// passes does not count.
func chooseSystem(systems []system) (system, error) {
	left := systems
	for _, fits := range []func(system) bool{
		func(s system) bool { return s.SystemType == "" || s.SystemType == "Physical" },
		func(s system) bool { return s.Actions.Reset.Target != "" },
		func(s system) bool { return len(s.Links.Chassis) > 0 && len(s.Links.ManagedBy) > 0 },
	} {
		if len(left) <= 1 {
			break
		}
		if narrowed := slices.DeleteFunc(slices.Clone(left), func(s system) bool { return !fits(s) }); len(narrowed) > 0 {
			left = narrowed
		}
	}
	switch len(left) {
	case 0:
		return system{}, &missingError{"system"}
	case 1:
		return left[0], nil
	}
	names := make([]string, len(left))
	for i, s := range left {
		names[i] = s.ID
	}
	return system{}, &ambiguousError{systems: names}
}

// resetTypes are the allowable ones; a BMC that keeps them in another resource is
// asked there. None means that it does not tell.
func (t talk) resetTypes(s system) []string {
	if len(s.Actions.Reset.Allowed) > 0 || s.Actions.Reset.Info == "" {
		return s.Actions.Reset.Allowed
	}
	var info struct {
		Parameters []struct {
			Name            string
			AllowableValues []string
		}
	}
	if _, err := t.get(s.Actions.Reset.Info, &info); err != nil {
		return nil
	}
	for _, p := range info.Parameters {
		if p.Name == "ResetType" {
			return p.AllowableValues
		}
	}
	return nil
}

// slots are the virtual media slots that take a CD, best first. They are under the
// system, the managers, or both.
func (t talk) slots(s system, boards []manager) ([]slot, error) {
	collections := []string{string(s.VirtualMedia)}
	for _, m := range boards {
		collections = append(collections, string(m.VirtualMedia))
	}
	for _, c := range collections {
		if c == "" {
			continue
		}
		links, err := t.members(c)
		if statusOf(err) != 0 {
			continue // named, but not there
		}
		if err != nil {
			return nil, err
		}
		var slots []slot
		for _, link := range links {
			var s slot
			if _, err := t.get(link, &s); err != nil {
				return nil, err
			}
			if s.ID == "" {
				s.ID = link
			}
			if s.disc() {
				slots = append(slots, s)
			}
		}
		if len(slots) > 0 {
			slices.SortStableFunc(slots, func(a, b slot) int { return t.manners.slotRank(a.Name) - t.manners.slotRank(b.Name) })
			return slots, nil
		}
	}
	return nil, nil
}

// members are the links of a collection, also one that comes in pages.
func (t talk) members(path string) ([]string, error) {
	var links []string
	for pages := 0; path != "" && pages < most && len(links) < most; pages++ {
		var c collection
		if _, err := t.get(path, &c); err != nil {
			return nil, err
		}
		for _, link := range c.Members.ToStrings() {
			if link != "" && !slices.Contains(links, link) {
				links = append(links, link)
			}
		}
		path = string(c.Next)
	}
	return links, nil
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
