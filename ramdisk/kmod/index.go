package kmod

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// Index is a set of modules. It may be used by several goroutines.
type Index struct {
	modules []Module // by name
	byName  map[string]int
}

// NewIndex takes modules of different names.
func NewIndex(modules []Module) *Index {
	i := &Index{modules: slices.Clone(modules), byName: make(map[string]int, len(modules))}
	slices.SortFunc(i.modules, func(a, b Module) int { return cmp.Compare(a.Name, b.Name) })
	for n, m := range i.modules {
		i.byName[m.Name] = n
	}
	return i
}

// ReadIndex reads what Write wrote.
func ReadIndex(r io.Reader) (*Index, error) {
	var modules []Module
	if err := json.NewDecoder(r).Decode(&modules); err != nil {
		return nil, fmt.Errorf("the index of modules is unreadable: %w", err)
	}
	return NewIndex(modules), nil
}

// Write writes the same bytes for the same modules.
func (i *Index) Write(w io.Writer) error { return json.NewEncoder(w).Encode(i.modules) }

// Module returns the one of that name.
func (i *Index) Module(name string) (Module, bool) {
	n, ok := i.byName[name]
	if !ok {
		return Module{}, false
	}
	return i.modules[n], true
}

// For returns the names of the modules that drive the device with that modalias.
func (i *Index) For(modalias string) []string {
	var names []string
	for _, m := range i.modules {
		if slices.ContainsFunc(m.Aliases, func(pattern string) bool { return matches(pattern, modalias) }) {
			names = append(names, m.Name)
		}
	}
	return names
}

// matches is fnmatch as far as the aliases of hardware go: path.Match differs in
// slashes, which only those of whole computers (dmi) have.
func matches(pattern, text string) bool {
	literal := pattern
	if wild := strings.IndexAny(pattern, `*?[\\`); wild >= 0 {
		literal = pattern[:wild]
	}
	if !strings.HasPrefix(text, literal) {
		return false // nearly always, and much cheaper
	}
	ok, err := path.Match(pattern, text)
	return ok && err == nil
}

// Order returns the module and what it needs, in the order in which they are to be
// loaded. What the index does not have is left out: it is built into the kernel, or
// loading says that it is missing.
func (i *Index) Order(name string) []Module {
	var order []Module
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		m, ok := i.Module(name)
		if !ok || seen[name] {
			return
		}
		seen[name] = true // before what it needs: soft dependencies may go in circles
		for _, before := range slices.Concat(m.Before, m.Needs) {
			visit(before)
		}
		order = append(order, m)
		for _, after := range m.After {
			visit(after)
		}
	}
	visit(name)
	return order
}

// Closure returns an index of the modules that keep wants, and of all that they need.
func (i *Index) Closure(wants func(Module) bool) *Index {
	chosen := map[string]Module{}
	for _, m := range i.modules {
		if !wants(m) {
			continue
		}
		for _, needed := range i.Order(m.Name) {
			chosen[needed.Name] = needed
		}
	}
	modules := make([]Module, 0, len(chosen))
	for _, m := range chosen {
		modules = append(modules, m)
	}
	return NewIndex(modules)
}

// Modules returns all, by name.
func (i *Index) Modules() []Module { return slices.Clone(i.modules) }

// IndexPath is where the ramdisk has its index, from the root.
const IndexPath = "lib/modules/index.json"

// Suffix ends the files of the ramdisk's modules: each is compressed by itself.
const Suffix = ".zst"
