package storetest

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

// filled is a value whose every field is set, each to something else. A field that
// is added to the domain is thereby tested here, without anybody thinking of it.
func filled[T any](t *testing.T) T {
	t.Helper()
	var v T
	fill(reflect.ValueOf(&v).Elem(), new(int))
	if path := unfilled(reflect.ValueOf(v)); path != "" {
		t.Fatalf("%T%s is not filled: teach fill its kind", v, path)
	}
	return v
}

func fill(v reflect.Value, n *int) {
	*n++
	if whole, ok := opaque(v.Type(), *n); ok {
		v.Set(whole)
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d, 'quoted' \"twice\" \x01 é", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(uint64(*n % 256))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(value, n)
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	}
}

// opaque makes values of types whose fields are their own business.
func opaque(t reflect.Type, n int) (reflect.Value, bool) {
	address := netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
	for _, v := range []any{time.Date(2031, 5, 4, 3, 2, 1, 1000*n, time.UTC), address, netip.PrefixFrom(address, 24)} {
		if reflect.TypeOf(v) == t {
			return reflect.ValueOf(v), true
		}
	}
	return reflect.Value{}, false
}

// unfilled is the path of the first zero field, or "".
func unfilled(v reflect.Value) string {
	switch {
	case v.IsZero():
		return " (zero)"
	case v.Kind() == reflect.Struct:
		if _, whole := opaque(v.Type(), 0); whole {
			return ""
		}
		for i := range v.NumField() {
			if path := unfilled(v.Field(i)); path != "" {
				return "." + v.Type().Field(i).Name + path
			}
		}
	}
	return ""
}

// same compares all of two values.
func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// server is an Available node that shares nothing with another number's.
func server(number int) core.Node {
	return core.Node{
		ID:    core.NodeID(fmt.Sprintf("node-%05d", number)),
		Pool:  core.DefaultPool,
		State: core.Available,
		Spec: core.NodeSpec{
			Labels:   map[string]string{"rack": fmt.Sprint(number / 40)},
			BMC:      core.Endpoint{Backend: "redfish", URL: fmt.Sprintf("https://bmc-%d.example", number), User: "root"},
			Identity: core.Identity{UUID: fmt.Sprintf("4c4c4544-0000-1111-8000-%012d", number), Serial: fmt.Sprintf("CZ%06dXX", number)},
		},
		Hardware: core.Hardware{Arch: "amd64", CPUs: 64, Memory: 256 * core.GiB, Disks: []core.Disk{{Serial: fmt.Sprintf("disk-%d", number), Kind: core.NVMe, Size: core.TiB}}},
	}
}

// stock puts servers 0 to count-1 into the store.
func stock(t *testing.T, store core.Store, count int) {
	t.Helper()
	update(t, store, func(tx core.Tx) error {
		for number := range count {
			if err := tx.InsertNode(server(number)); err != nil {
				return err
			}
		}
		return nil
	})
}

// claim is an acquire in its plainest form: the first candidate, its swap, the
// allocation and the event, in one transaction. NoCapacity where no node is left.
func claim(tx core.Tx, id core.AllocationID, owner string) (core.NodeID, error) {
	var node core.Node
	for candidate, err := range tx.Candidates(core.DefaultPool) {
		if err != nil {
			return "", err
		}
		node = candidate
		break
	}
	if node.ID == "" {
		return "", &core.Error{Op: "acquire", Kind: core.NoCapacity}
	}
	node.State, node.Allocation, node.Since = core.Allocated, id, tx.Now()
	if err := tx.SwapNode(node); err != nil {
		return "", err
	}
	a := core.Allocation{ID: id, Owner: owner, Name: string(id), State: core.Allocated, Node: node.ID, CreatedAt: tx.Now()}
	if err := tx.InsertAllocation(a); err != nil {
		return "", err
	}
	return node.ID, tx.AddEvent(core.Event{Node: node.ID, Allocation: id, Type: core.StateChanged, From: core.Available, To: core.Allocated, On: core.Claim})
}
