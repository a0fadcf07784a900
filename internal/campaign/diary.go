package campaign

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// diary keeps what the campaign did and was told, for whoever looks into a violation.
type diary struct {
	mu   sync.Mutex
	file *os.File
}

func newDiary(path string) (*diary, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	return &diary{file: f}, err
}

// write adds a line. What cannot be written is not what the campaign is about.
func (d *diary) write(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.file, "%s %s\n", time.Now().UTC().Format("15:04:05.000"), fmt.Sprintf(format, args...))
}

// ended writes how a process ended.
func (d *diary) ended(who string, o outcome, r result) {
	text := strings.TrimSpace(r.err)
	if o == went && r.hurt == "" {
		text = ""
	}
	d.write("%s: %s %s: %s%s after %s%s", who, r.program[strings.LastIndex(r.program, "/")+1:], strings.Join(r.args, " "), o, hurtText(r), r.ended.Sub(r.began).Round(time.Millisecond), strings.ReplaceAll("\n"+text, "\n", "\n    "))
}

func hurtText(r result) string {
	if r.hurt == "" {
		return ""
	}
	return " (" + string(r.hurt) + ")"
}

func (d *diary) close() error { return d.file.Close() }
