package shell

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// Who writes lines does not wait for each to be read, and who reads gets them together.
func TestPipeHolds(t *testing.T) {
	r, w := newPipe(func() { t.Error("the writer is told to stop") })
	line := []byte("a line\n")
	for range 1000 {
		if n, err := w.Write(line); n != len(line) || err != nil {
			t.Fatalf("write: %d, %v", n, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	buffer := make([]byte, 4096)
	reads := 0
	for {
		n, err := r.Read(buffer)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got.Write(buffer[:n])
		reads++
	}
	if reads != 2 || !bytes.Equal(got.Bytes(), bytes.Repeat(line, 1000)) {
		t.Errorf("%d bytes in %d reads, want %d in 2", got.Len(), reads, 1000*len(line))
	}
}

// What does not fit waits for the reader, and that counts as being kept going.
func TestPipeIsBounded(t *testing.T) {
	r, w := newPipe(func() {})
	wrote := make(chan error, 1)
	text := bytes.Repeat([]byte("x"), 3*pipeSize+1)
	go func() {
		_, err := w.Write(text)
		_ = w.Close()
		wrote <- err
	}()
	got, err := io.ReadAll(r)
	if err != nil || len(got) != len(text) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	if w.turns.Load() == 0 || r.turns.Load() == 0 {
		t.Errorf("the writer waited %d times and the reader read %d times", w.turns.Load(), r.turns.Load())
	}
	if len(w.held) > pipeSize {
		t.Errorf("%d bytes are held", len(w.held))
	}
}

// Nobody reads: the writer is told, also one that waits.
func TestPipeNobodyReads(t *testing.T) {
	stopped := make(chan struct{}, 2)
	r, w := newPipe(func() { stopped <- struct{}{} })
	wrote := make(chan error, 1)
	go func() {
		_, err := w.Write(make([]byte, pipeSize+1))
		wrote <- err
	}()
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(nil); err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	if err := <-wrote; err != nil && !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("write: %v", err)
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("write: %v", err)
	}
	<-stopped
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("read: %v", err)
	}
}
