package sqlite

import (
	"iter"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

// Steps and profiles: as few and as small as pools and images.

func (t *tx) Step(name string) (core.Step, error) {
	s, found, err := document[core.Step](t, "read a step", "SELECT document FROM steps WHERE name = ?", name)
	if err == nil && !found {
		err = record.NoStep(name)
	}
	return s, err
}

func (t *tx) Steps() iter.Seq2[core.Step, error] {
	return list(t, "list steps", record.Document[core.Step], "SELECT document FROM steps ORDER BY name")
}

func (t *tx) PutStep(s core.Step) error {
	return t.putDocument("store a step", "INSERT INTO steps (name, document) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET document = ?2", s.Name, s)
}

func (t *tx) DeleteStep(name string) error {
	rows, err := t.write("delete a step", "DELETE FROM steps WHERE name = ?", name)
	if err == nil && rows == 0 {
		return record.NoStep(name)
	}
	return err
}

func (t *tx) Profile(name string) (core.Profile, error) {
	p, found, err := document[core.Profile](t, "read a profile", "SELECT document FROM profiles WHERE name = ?", name)
	if err == nil && !found {
		err = record.NoProfile(name)
	}
	return p, err
}

func (t *tx) Profiles() iter.Seq2[core.Profile, error] {
	return list(t, "list profiles", record.Document[core.Profile], "SELECT document FROM profiles ORDER BY name")
}

func (t *tx) PutProfile(p core.Profile) error {
	return t.putDocument("store a profile", "INSERT INTO profiles (name, document) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET document = ?2", p.Name, p)
}

func (t *tx) DeleteProfile(name string) error {
	rows, err := t.write("delete a profile", "DELETE FROM profiles WHERE name = ?", name)
	if err == nil && rows == 0 {
		return record.NoProfile(name)
	}
	return err
}
