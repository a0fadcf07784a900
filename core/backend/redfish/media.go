package redfish

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

// InsertMedia is done when the slot shows the image.
func (b *conversation) InsertMedia(ctx context.Context, image string) error {
	return b.verb(ctx, "insert media", func(t talk) error {
		current, err := t.slot()
		if err != nil {
			return err
		}
		err = t.insert(current, image)
		if !t.manners.OtherSlots || outcomeOf(err, t.manners.Busy) != refused {
			return err
		}
		return t.insertElsewhere(current, image, err)
	})
}

// EjectMedia is done when the slot shows no image.
func (b *conversation) EjectMedia(ctx context.Context) error {
	return b.verb(ctx, "eject media", func(t talk) error {
		current, err := t.slot()
		if err != nil || !current.occupied() && !t.manners.AlwaysEject {
			return err
		}
		return t.eject(current)
	})
}

func (t talk) slot() (slot, error) {
	link := t.links[linkMedia]
	if link == "" {
		return slot{}, &missingError{"virtual media slot that takes a CD"}
	}
	return t.slotAt(link)
}

func (t talk) slotAt(link string) (slot, error) {
	var s slot
	if _, err := t.get(link, &s); err != nil {
		return slot{}, err
	}
	if s.ID == "" {
		s.ID = link
	}
	return s, nil
}

func (t talk) insert(current slot, image string) error {
	if current.occupied() && string(current.Image) == image {
		return nil
	}
	if current.occupied() {
		if err := t.eject(current); err != nil {
			return err
		}
	} else if t.manners.AlwaysEject {
		// It may hold more than it shows. How the insert ends tells whether this helped.
		if err := t.sendEject(current); outcomeOf(err, t.manners.Busy) == futile {
			return err
		}
	}
	for tries := t.manners.InsertTries; ; tries-- {
		err := t.settle(
			func() error { return t.sendImage(current, image) },
			func() (bool, string, error) {
				s, err := t.slotAt(current.ID)
				return s.occupied() && sameImage(string(s.Image), image), "the slot " + s.state(), err
			},
		)
		if tries <= 1 || statusOf(err) == 0 || outcomeOf(err, t.manners.Busy) == futile {
			return err
		}
		if err := t.wait(time.Duration(t.manners.InsertPolls) * t.options.Poll); err != nil {
			return err
		}
	}
}

// insertElsewhere tries the other slots where one refused the image, and keeps the
// one that took it. It returns the first refusal where all refuse.
func (t talk) insertElsewhere(refusing slot, image string, first error) error {
	var s system
	if _, err := t.get(t.links[linkSystem], &s); err != nil {
		return err
	}
	var boards []manager
	for _, link := range s.Links.ManagedBy.ToStrings() {
		var m manager
		if _, err := t.get(link, &m); err != nil {
			return err
		}
		boards = append(boards, m)
	}
	slots, err := t.slots(s, boards)
	if err != nil {
		return err
	}
	for _, other := range slots {
		if other.ID == refusing.ID {
			continue
		}
		err := t.insert(other, image)
		switch outcomeOf(err, t.manners.Busy) {
		case refused:
			continue
		case taken:
			t.links[linkMedia] = other.ID
		}
		return err
	}
	return first
}

// eject empties a slot. A refusal does not matter where the slot then is empty.
func (t talk) eject(current slot) error {
	return t.settle(
		func() error { return t.sendEject(current) },
		func() (bool, string, error) {
			s, err := t.slotAt(current.ID)
			return !s.occupied(), "the slot " + s.state(), err
		},
	)
}

func (t talk) sendImage(s slot, image string) error {
	target := s.Actions.Insert.Target
	if target == "" {
		return t.patch(s.ID, "", map[string]any{"Image": image})
	}
	body := map[string]any{"Image": image}
	if !t.manners.ImageOnly {
		body["Inserted"], body["WriteProtected"] = true, true
	}
	if t.manners.InsertTransfer {
		body["TransferProtocolType"], body["TransferMethod"] = "HTTP", "Stream"
		if strings.HasPrefix(image, "https:") {
			body["TransferProtocolType"] = "HTTPS"
		}
	}
	for name, value := range t.manners.InsertMore {
		body[name] = value
	}
	return t.post(target, body)
}

func (t talk) sendEject(s slot) error {
	target := s.Actions.Eject.Target
	if target == "" { // some show it only while there is something to eject
		target = strings.Replace(s.Actions.Insert.Target, "InsertMedia", "EjectMedia", 1)
	}
	if target == "" {
		return t.patch(s.ID, "", map[string]any{"Image": nil})
	}
	object := map[string]any{}
	if t.manners.EjectObject {
		return t.post(target, object)
	}
	err := t.post(target, nil)
	if slices.Contains([]int{http.StatusBadRequest, http.StatusLengthRequired, http.StatusUnsupportedMediaType}, statusOf(err)) {
		err = t.post(target, object)
	}
	return err
}

func (s slot) state() string {
	if !s.occupied() {
		return "empty"
	}
	return "with " + firstOf(path.Base(string(s.Image)), "an image")
}

// sameImage: some BMCs show no image, or only its file name, or spell the URL in
// another way. It was ejected before, so what is in now is what was just inserted;
// only a clear contradiction counts.
func sameImage(shown, image string) bool {
	if shown == "" || shown == image {
		return true
	}
	a, errA := url.Parse(shown)
	b, errB := url.Parse(image)
	return errA == nil && errB == nil && path.Base(a.Path) == path.Base(b.Path)
}
