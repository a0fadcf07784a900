package bmc

import (
	"errors"
	"net/url"
	"path"
	"strings"
	"time"
)

// slot is one virtual media device with what is in it. BMC.mu guards it.
type slot struct {
	*Slot
	inserted       bool
	image          string // its URL; kept while an eject lingers
	media          *Media // its content; nil while it is late
	writeProtected bool
	verify         bool // the certificate of the image's server
	busy           bool // an insert is fetching
	lingering      int  // looks and inserts that still find ejected media

	// Late media is opened when the machine looks for it, not before due.
	late *Media
	due  time.Time
}

// Inserted returns the URL of what is in each slot with media, by slot ID.
func (b *BMC) Inserted() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	in := map[string]string{}
	for _, s := range b.slots {
		if s.inserted {
			in[s.ID] = s.image
		}
	}
	return in
}

// bootable opens the media that the firmware finds first for a target, and
// names its slot; nil if there is none.
func (b *BMC) bootable(target string) (id string, m *Media) {
	for _, s := range b.slots {
		if s.Unbootable || s.disc() == (target == "Usb") {
			continue
		}
		b.mu.Lock()
		m, late, due := s.media, s.late, s.due
		b.mu.Unlock()
		if late != nil && !b.config.Now().Before(due) && late.probe(s.disc()) == nil {
			b.mu.Lock()
			if s.late == late { // not ejected meanwhile
				s.media, s.late = late, nil
				m = late
			}
			b.mu.Unlock()
		}
		if m != nil {
			return s.ID, m
		}
	}
	return "", nil
}

// Disc is the disc that a running system finds in the virtual drive; nil if there is
// none. It fails with ErrEjected once it was taken out.
func (b *BMC) Disc() *Media {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.slots {
		if s.disc() && s.media != nil {
			return s.media
		}
	}
	return nil
}

func (b *BMC) mediaChanged() {
	if b.config.MediaChanged != nil {
		b.config.MediaChanged()
	}
}

// empty takes the media out of a slot and says whether there was any.
func (b *BMC) empty(s *slot) bool {
	if !b.take(s) {
		return false
	}
	b.mediaChanged()
	return true
}

func (b *BMC) take(s *slot) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !s.inserted {
		return false
	}
	for _, m := range []*Media{s.media, s.late} {
		if m != nil {
			m.eject()
		}
	}
	s.inserted, s.media, s.late = false, nil, nil
	s.lingering = b.manners.EjectLingers
	return true
}

// slotsAt says whether the path of a request leads to a list of slots, and
// where that is. The same slots may be under the system and under the manager.
func (b *BMC) slotsAt(r *request) (base string, ok bool) {
	base = "/redfish/v1/" + r.ids[0] + "/" + r.ids[1] + "/VirtualMedia"
	switch r.ids[0] {
	case "Systems":
		return base, b.manners.SlotsUnder != UnderManagers && r.ids[1] == b.manners.SystemID
	case "Managers":
		return base, b.manners.SlotsUnder != UnderSystems && r.ids[1] == b.manners.ManagerID
	}
	return "", false
}

func (b *BMC) slotAt(r *request) (s *slot, path string, ok bool) {
	base, ok := b.slotsAt(r)
	if !ok {
		return nil, "", false
	}
	for _, s := range b.slots {
		if s.ID == r.ids[2] {
			return s, base + "/" + s.ID, true
		}
	}
	return nil, "", false
}

func (b *BMC) media(r *request) (resource, bool) {
	base, ok := b.slotsAt(r)
	return plain(func() doc {
		var paths []string
		for _, s := range b.slots {
			paths = append(paths, base+"/"+s.ID)
		}
		return collection(base, "VirtualMedia", "Virtual Media Collection", paths...)
	}), ok
}

func (b *BMC) slotResource(r *request) (resource, bool) {
	s, path, ok := b.slotAt(r)
	if !ok {
		return resource{}, false
	}
	return resource{
		get: func(*request) doc { return b.slotDoc(s, path) }, reads: MediaRead,
		patch:  func(r *request) answer { return b.patchSlot(r, s) },
		writes: slotVerb,
	}, true
}

// slotVerb is what a PATCH of a slot means.
func slotVerb(r *request) Verb {
	image, has := r.object["Image"]
	switch {
	case has && image != nil:
		return Insert
	case has || r.object["Inserted"] == false:
		return Eject
	}
	return Other
}

func (b *BMC) slotDoc(s *slot, at string) doc {
	b.mu.Lock()
	defer b.mu.Unlock()
	inserted := s.inserted
	if !inserted && s.lingering > 0 {
		s.lingering--
		inserted = true
	}
	d := doc{
		"@odata.id": at, "@odata.type": "#VirtualMedia.v1_4_0.VirtualMedia",
		"Id": s.ID, "Name": "Virtual Media " + s.ID, "MediaTypes": s.Types,
		"Image": nil, "ImageName": nil, "Inserted": inserted, "ConnectedVia": "NotConnected",
		"WriteProtected": true, "UserName": nil, "Password": nil,
		"TransferMethod": nil, "TransferProtocolType": nil, "VerifyCertificate": s.verify, "Status": healthy(),
	}
	if inserted {
		scheme, _, _ := strings.Cut(s.image, ":")
		d["Image"], d["ImageName"], d["ConnectedVia"] = s.image, imageName(s.image), "URI"
		d["WriteProtected"] = s.writeProtected
		d["TransferMethod"], d["TransferProtocolType"] = "Stream", strings.ToUpper(scheme)
	}
	if b.manners.MediaByPatch {
		return d
	}
	actions := doc{"#VirtualMedia.InsertMedia": doc{"target": at + "/Actions/VirtualMedia.InsertMedia"}}
	if inserted || !b.manners.EmptySlotHidesEject {
		actions["#VirtualMedia.EjectMedia"] = doc{"target": at + "/Actions/VirtualMedia.EjectMedia"}
	}
	d["Actions"] = actions
	return d
}

func imageName(image string) string {
	if u, err := url.Parse(image); err == nil {
		return path.Base(u.Path)
	}
	return ""
}

// insertParams are the parameters of an insert, also where it is a PATCH.
func (m *Manners) insertParams() []param {
	params := []param{
		{name: "Image", needed: true},
		{name: "UserName", kind: textOrNull, needed: m.InsertNeedsLogin},
		{name: "Password", kind: textOrNull, needed: m.InsertNeedsLogin},
		{name: "TransferProtocolType", values: []string{"HTTP", "HTTPS"}, needed: m.InsertNeedsTransfer},
		{name: "TransferMethod", values: []string{"Stream", "Upload"}, needed: m.InsertNeedsTransfer},
	}
	if !m.InsertImageOnly {
		params = append(params, param{name: "Inserted", kind: boolean}, param{name: "WriteProtected", kind: boolean})
	}
	return params
}

func (b *BMC) slotInsert(r *request) (resource, bool) {
	s, _, ok := b.slotAt(r)
	const action = "VirtualMedia.InsertMedia"
	return resource{post: func(r *request) answer {
		m := check(r.object, b.manners.insertParams(), "",
			func(p string) Message {
				if b.manners.InsertImageOnly {
					return propertyUnknown(p)
				}
				return parameterUnknown(p, action)
			},
			func(p string) Message { return parameterMissing(p, action) })
		if m != nil {
			return b.fail(*m)
		}
		return b.insert(r, s)
	}, writes: is(Insert)}, ok && !b.manners.MediaByPatch
}

func (b *BMC) slotEject(r *request) (resource, bool) {
	s, _, ok := b.slotAt(r)
	if !ok || b.manners.MediaByPatch {
		return resource{}, false
	}
	b.mu.Lock()
	hidden := b.manners.EmptySlotHidesEject && !s.inserted
	b.mu.Unlock()
	return resource{post: func(r *request) answer {
		const action = "VirtualMedia.EjectMedia"
		if b.manners.EjectNeedsBody && len(r.body) == 0 {
			return b.fail(malformed())
		}
		if m := check(r.object, nil, "", func(p string) Message { return parameterUnknown(p, action) }, nil); m != nil {
			return b.fail(*m)
		}
		return b.eject(s)
	}, writes: is(Eject)}, !hidden
}

func (b *BMC) eject(s *slot) answer {
	if !b.empty(s) {
		return b.refuse(MediaEmpty)
	}
	return b.done()
}

// patchSlot sets VerifyCertificate, and where the vendor has no actions,
// inserts and ejects.
func (b *BMC) patchSlot(r *request, s *slot) answer {
	if verify, ok := r.object["VerifyCertificate"].(bool); ok && len(r.object) == 1 {
		b.mu.Lock()
		s.verify = verify
		b.mu.Unlock()
		return b.done()
	}
	if !b.manners.MediaByPatch {
		for _, name := range sortedKeys(r.object) {
			return b.fail(propertyReadOnly(name))
		}
		return b.fail(malformed())
	}
	params := b.manners.insertParams()
	params[0].kind = textOrNull
	if m := check(r.object, params, "", propertyUnknown, propertyMissing); m != nil {
		return b.fail(*m)
	}
	if r.object["Image"] == nil {
		return b.eject(s)
	}
	return b.insert(r, s)
}

// insert fetches the image and puts it in. The parameters were checked.
func (b *BMC) insert(r *request, s *slot) answer {
	image := stringOf(r.object, "Image")
	u, err := url.Parse(image)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return b.fail(propertyNotInList("Image", "not an http or https URL"))
	}
	if protocol := stringOf(r.object, "TransferProtocolType"); protocol != "" && !strings.EqualFold(protocol, u.Scheme) {
		return b.fail(propertyNotInList("TransferProtocolType", protocol))
	}
	if r.object["Inserted"] == false {
		return b.fail(propertyNotInList("Inserted", "false"))
	}
	if s.Unusable {
		return b.refuse(SlotUnusable)
	}
	verify, cause := b.reserve(s)
	if cause != "" {
		return b.refuse(cause)
	}
	m := newMedia(image, stringOf(r.object, "UserName"), stringOf(r.object, "Password"), verify, b.config.FetchTimeout)
	late := r.fault != nil && r.fault.Kind == Late
	if !late {
		err = m.probe(s.disc())
	}

	b.mu.Lock()
	s.busy = false
	if err != nil {
		b.mu.Unlock()
		m.eject()
		return b.unfetched(err)
	}
	s.inserted, s.image = true, image
	s.writeProtected = r.object["WriteProtected"] != false
	if late {
		s.late, s.due = m, b.config.Now().Add(time.Duration(r.fault.Delay))
	} else {
		s.media = m
	}
	b.mu.Unlock()
	b.mediaChanged()
	return b.done()
}

// reserve takes an empty slot for an insert, or says why it is not free.
func (b *BMC) reserve(s *slot) (verify bool, c Cause) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case s.inserted || s.busy:
		return false, MediaInserted
	case s.lingering > 0:
		s.lingering--
		return false, MediaSettling
	}
	s.busy = true
	return s.verify, ""
}

// unfetched answers an insert whose image could not be read.
func (b *BMC) unfetched(err error) answer {
	if errors.Is(err, errNotISO) {
		return b.refuse(MediaNotISO)
	}
	m := b.manners.message(MediaUnreachable)
	m.Resolution += " (" + err.Error() + ")"
	return b.fail(m)
}
