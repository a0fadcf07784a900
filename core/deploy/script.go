package deploy

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/metalpool/metalpool/core"
)

// A script runs on the machine by itself, in a session of its own: neither a connection
// that breaks nor the end of whoever began it ends it. In its folder are its own files,
// and in .run there:
//
//	begun    a link, which one process alone can make: which boot of the machine, and
//	         which of its processes keeps the run
//	head     the first of what it says; tail.old and tail the last; total how many bytes
//	         in all
//	status   how it has ended
//	drained  nobody holds its output open any more
const (
	// beginFile is what runs as the script's user. Nobody reads its secrets afterwards.
	beginFile = `. ./environment
rm -f environment
cd ..
exec %s
`
	// keepRun is the process that keeps a run. That it is begun is on the disk before it
	// is: a power cut does not undo that.
	keepRun = `ln -s "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)/$$" begun 2>/dev/null || exit 0
sync
{
	%[1]stimeout -k 10 %[2]d sh ./begin </dev/null 2>&1
	echo $? > status.new
	mv -f status.new status
} | sh ./keep-output
`
	// keepOutput keeps the first and the last of what comes, for as long as it comes: a
	// daemon that the script has left may hold its output open, and is to notice nothing.
	// Whoever follows the run reads total at any time.
	keepOutput = `n=0
while dd bs=16384 count=1 of=part 2>/dev/null && test -s part; do
	before=$n
	n=$((n + $(wc -c < part)))
	echo $n > total.new
	mv -f total.new total
	if test $before -lt 16384; then
		cat part >> head
	else
		cat part >> tail
		test $(wc -c < tail) -le 32768 || mv -f tail tail.old
	fi
done
: > drained
exec cat > /dev/null
`
	// beginRun has it kept, and returns once it is.
	beginRun = `cd %s/.run || exit
setsid sh ./keep-run </dev/null >/dev/null 2>&1 &
i=0
until test -L begun || test $i -ge 100; do
	sleep 0.05 2>/dev/null || sleep 1
	i=$((i + 1))
done
test -L begun || { echo "it does not start; is there a setsid?" >&2; exit 1; }
`
	// followRun tells what there is of a run: none, runs, ended and with what status, or
	// unknown, with 1 where the machine was started since; and what it has said, while it
	// runs the last of that alone. It waits for its end for a while, the less often the
	// longer it takes.
	followRun = `cd %s/.run 2>/dev/null || { echo none 0 0 0; exit; }
i=0
while :; do
	state="unknown 0"
	if test -f status; then state="ended $(cat status)"
	elif ! test -L begun; then state="none 0"
	else
		by=$(readlink begun) boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
		if test "${by%%%%/*}" = "$boot" && kill -0 "${by##*/}" 2>/dev/null; then state="runs 0"
		elif test -f status; then state="ended $(cat status)"
		elif test -n "$boot" && test -n "${by%%%%/*}" && test "${by%%%%/*}" != "$boot"; then state="unknown 1"; fi
	fi
	case $state in
	runs*)
		case $i in
		[0-4]) s=0.02 ;;
		[5-9]) s=0.1 ;;
		1?) s=0.3 ;;
		3?)
			total=0
			test -f total && total=$(cat total)
			echo "$state" 0 $total
			for last in tail tail.old head; do
				if test -s $last; then tail -c 1000 $last; break; fi
			done 2>/dev/null
			exit ;;
		*) s=1 ;;
		esac
		sleep $s 2>/dev/null || sleep 1
		i=$((i + 1)) ;;
	*) break ;;
	esac
done
case $state in
ended*)
	i=0
	until test -f drained || test $i -ge 20; do
		sleep 0.05 2>/dev/null || sleep 1
		i=$((i + 1))
	done ;;
esac
head=0 total=0
test -f head && head=$(wc -c < head)
test -f total && total=$(cat total)
echo "$state" $head $total
cat head tail.old tail 2>/dev/null
:
`
)

// followTimeout bounds the wait for an answer of followRun, which takes 14 s for itself.
// A machine that has left the network says nothing.
const followTimeout = time.Minute

// What no machine makes us do without end, whatever it answers.
const (
	leastFollow = time.Second // between two looks at a script that runs
	mostSent    = 3           // times that it is given a script anew
)

// scripts is where the machine keeps what is run there, in the login user's home.
const scripts = ".metalpool/steps/"

// later is a writer of what a script says, all of which it is given at the end, that takes
// the last of it meanwhile.
type later interface{ Lately(last []byte) }

// Run implements core.Login. What it keeps under the ID is on the machine's disk: it is
// there after a restart, and gone with the OS.
func (l *login) Run(ctx context.Context, s core.Script, output io.Writer) (int, error) {
	folder := scripts + strings.ReplaceAll(s.ID, "/", "-")
	if s.ID == "" {
		folder = scripts + core.NewID("check")
		defer func() {
			clear, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
			defer cancel()
			_, _ = l.run(clear, "rm -rf "+folder, "") // it has no secrets any more
		}()
	}
	begin := ""
	for sent, lost := 0, 0; ; {
		if max(sent, lost) > mostSent {
			return 0, &core.Error{Op: "run script", Kind: core.Backend, Err: fmt.Errorf("%s: it was given the script %d times, and keeps nothing of it", l.place, mostSent), Hint: "look at ~/" + scripts + " of the login user there: is the disk full, or is it another machine by now?"}
		}
		asked := time.Now()
		is, err := l.follow(ctx, begin+fmt.Sprintf(followRun, folder))
		if err != nil {
			return 0, err
		}
		begin = ""
		switch is.state {
		case "none":
			if sent++; sent > mostSent {
				continue
			}
			if err := l.send(ctx, folder, s); err != nil {
				return 0, err
			}
			begin = "(" + fmt.Sprintf(beginRun, folder) + ") || exit\n"
		case "runs":
			if l, ok := output.(later); ok {
				l.Lately(is.tail)
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Until(asked.Add(leastFollow))):
			}
		case "ended":
			is.tell(output)
			return is.status, nil
		case "unknown":
			if !s.Again {
				is.tell(output)
				why := "what kept it on the machine is gone"
				if is.status == 1 {
					why = "the machine has been restarted since"
				}
				return 0, fmt.Errorf("%s: %w", why, core.ErrUnknownOutcome)
			}
			lost++
			if _, err := l.run(ctx, "rm -rf "+folder, ""); err != nil {
				return 0, err
			}
		}
	}
}

// followed is what a machine tells of a run.
type followed struct {
	state  string
	status int
	head   []byte
	tail   []byte
	total  int64 // bytes that it has said, of which head and tail are kept
}

// follow asks what there is of a run.
func (l *login) follow(ctx context.Context, command string) (followed, error) {
	bounded, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	out, err := l.run(bounded, command, "")
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return followed{}, unreachable("run script", l.place, fmt.Errorf("it has not answered for %s", followTimeout))
	}
	if err != nil {
		return followed{}, err
	}
	line, said, _ := strings.Cut(out, "\n")
	is, err := parseFollowed(line, said)
	if err != nil {
		err = &core.Error{Op: "run script", Kind: core.Backend, Err: fmt.Errorf("%s: what it tells of the script cannot be read: %w", l.place, err)}
	}
	return is, err
}

// parseFollowed reads the line that says what there is of a run, and what follows it.
func parseFollowed(line, said string) (is followed, err error) {
	words := strings.Fields(line)
	if len(words) != 4 || !slices.Contains([]string{"none", "runs", "ended", "unknown"}, words[0]) {
		return is, fmt.Errorf("%q", brief(line))
	}
	is.state = words[0]
	head := 0
	for i, to := range []*int{&is.status, &head} {
		if *to, err = strconv.Atoi(words[1+i]); err != nil {
			return is, err
		}
	}
	if is.total, err = strconv.ParseInt(words[3], 10, 64); err != nil {
		return is, err
	}
	head = min(max(0, head), len(said))
	is.head, is.tail = []byte(said[:head]), []byte(said[head:])
	return is, nil
}

func (f followed) tell(output io.Writer) {
	tell(output, f.head, f.tail, f.total-int64(len(f.head)+len(f.tail)))
}

// send writes a script and all it comes with. Nothing but its folder's name is in any
// argument: that others on the machine see.
func (l *login) send(ctx context.Context, folder string, s core.Script) error {
	program := "sh .run/script"
	if strings.HasPrefix(s.Text, "#!") {
		program = ".run/script"
	}
	as := ""
	if s.User != core.AsLogin {
		as = `$(test $(id -u) -eq 0 || echo "sudo -n -H") `
	}
	var environment strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		fmt.Fprintf(&environment, "export %s=%s\n", name, quoted(s.Env[name]))
	}
	files := map[string]string{
		".run/script": s.Text, ".run/environment": environment.String(), ".run/begin": fmt.Sprintf(beginFile, program),
		".run/keep-run": fmt.Sprintf(keepRun, as, max(1, int(time.Duration(s.Limit).Seconds()))), ".run/keep-output": keepOutput,
	}
	maps.Copy(files, s.Files) // of which none begins with a dot
	if _, err := l.run(ctx, "umask 077; mkdir -p "+folder+"/.run", ""); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		text, at := files[name], folder+"/"+quoted(name)
		if _, err := l.run(ctx, fmt.Sprintf("umask 077; cat > %[1]s && test $(wc -c < %[1]s) -eq %[2]d", at, len(text)), text); err != nil {
			return err
		}
	}
	_, err := l.run(ctx, "chmod 700 "+folder+"/.run/script", "")
	return err
}

// quoted is a text as a word of the shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
