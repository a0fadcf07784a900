package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
	apiserver "github.com/metalpool/metalpool/core/api/server"
	"github.com/metalpool/metalpool/core/open"
)

type serveFlags struct {
	listen, cert, key, dir string
	images                 string
	hosts                  []string
	verbose                bool
	output                 outputFlag
}

func serveCommand(a *app) *cobra.Command {
	var flags serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the pool over HTTPS to who has a token",
		Long: `Serve opens the pool, does its work, and answers docker-machine, Terraform and
metalpool itself at METALPOOL_URL=https://HOST:PORT. It alone has the BMCs' passwords:
who takes servers needs a token, and nothing else.

Without a certificate of your own the pool's first server makes a CA, which all of them
share by the store, and whose fingerprint clients pin: metalpool login https://HOST:PORT.

Ctrl-C, or SIGTERM, drains it: it takes nothing new, and hands on what is under way to
the next server of the pool, or to its own next start.`,
		Example: `  metalpool serve --listen 10.0.0.2:7443
  metalpool serve --tls-cert server.pem --tls-key server.key`,
		Args: exactly(),
		RunE: a.run(func(ctx context.Context, _ []string) error { return a.serve(ctx, flags) }),
	}
	f := cmd.Flags()
	f.StringVar(&flags.listen, "listen", ":7443", "`address` to listen at")
	f.StringVar(&flags.cert, "tls-cert", "", "`file` with the server's certificate and what signed it, PEM (default: made here)")
	f.StringVar(&flags.key, "tls-key", "", "`file` with its private key, PEM")
	f.StringVar(&flags.dir, "tls-dir", "", "`folder` where a server before this one kept its CA, serve-ca.pem, which the pool then takes over (default: the pool's)")
	f.StringArrayVar(&flags.hosts, "host", nil, "`name` or address to be put into the certificate that is made; may be repeated")
	f.StringVar(&flags.images, "images", "", "`folder` of this host whose files operators may add as images (default: none)")
	f.BoolVar(&flags.verbose, "verbose", false, "log each request, and not only writes and faults")
	flags.output.add(cmd)
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if (flags.cert == "") != (flags.key == "") {
			return usagef("--tls-cert and --tls-key go together")
		}
		return flags.checkImages()
	}
	return cmd
}

// servingView tells programs that a server is ready, and where.
type servingView struct {
	URL         string `json:"url"`
	Fingerprint string `json:"fingerprint,omitempty"` // of the CA that it made itself
}

func (a *app) serve(ctx context.Context, flags serveFlags) (err error) {
	level := slog.LevelInfo
	if flags.verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewJSONHandler(a.err, &slog.HandlerOptions{Level: level}))
	wake := make(chan struct{}, 1)
	e, err := open.Engine(ctx, a.url, open.Options{Create: true, Serves: true, Log: log, Detach: func() (bool, error) {
		select {
		case wake <- struct{}{}:
		default:
		}
		return true, nil
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if err := e.CheckRamdisk(); err != nil {
		log.Error("nothing is deployed or cleaned from here", "error", err) // what else it serves, it does
	}
	if flags.dir == "" {
		if flags.dir, err = open.Folder(a.url, e.Info()); err != nil {
			return err
		}
	}
	certificate, fingerprint, err := flags.certificate(ctx, e, log)
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", flags.listen)
	if err != nil {
		return &core.Error{Op: "serve", Kind: core.Invalid, Err: err, Hint: "listen elsewhere with --listen"}
	}
	s := apiserver.New(apiserver.Config{Pool: e, Log: log, Version: thisVersion(), Images: flags.images})
	if err := a.sayNobody(ctx, e); err != nil {
		return err
	}
	working, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		finishForEver(working, e, wake, log, s.End)
	}()
	defer func() {
		stop(errors.New("the server stops"))
		<-worked
	}()
	if err := a.sayServing(flags.output, servingView{"https://" + reachable(l.Addr()), fingerprint}); err != nil {
		return errors.Join(err, l.Close())
	}
	return s.Serve(ctx, l, certificate)
}

// checkImages has a folder that is not there told at the start, and not to whoever adds
// the first image.
func (f *serveFlags) checkImages() (err error) {
	if f.images == "" {
		return nil
	}
	if f.images, err = filepath.Abs(f.images); err != nil {
		return err
	}
	if info, err := os.Stat(f.images); err != nil || !info.IsDir() {
		return usagef("--images %s is no folder", f.images)
	}
	return nil
}

// sayNobody tells how the first one gets in.
func (a *app) sayNobody(ctx context.Context, e *core.Engine) error {
	tokens, err := e.Tokens(ctx)
	if err == nil && len(tokens) == 0 {
		a.note("nobody has a token yet; on this host: metalpool token create NAME --role operator")
	}
	return err
}

func (a *app) sayServing(o outputFlag, view servingView) error {
	if o.json() {
		return a.printLine(view)
	}
	_, err := fmt.Fprintf(a.out, "serving at %s\n", view.URL)
	if err == nil && view.Fingerprint != "" {
		_, err = fmt.Fprintf(a.out, "log in with: metalpool login %s --fingerprint %s\n", view.URL, view.Fingerprint)
	}
	return err
}

// certificate is the one of the flags, or one that is made here.
func (f serveFlags) certificate(ctx context.Context, e *core.Engine, log *slog.Logger) (config *tls.Config, fingerprint string, err error) {
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, "", &core.Error{Op: "serve", Kind: core.Invalid, Err: err, Hint: "give the certificate, with what signed it, and its key, as PEM"}
		}
		return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}, "", nil
	}
	hosts := append([]string{"localhost", "127.0.0.1", "::1"}, f.hosts...)
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	if host, _, err := net.SplitHostPort(f.listen); err == nil {
		hosts = append(hosts, host)
	}
	return apiserver.OwnCertificate(ctx, e, filepath.Join(f.dir, "serve-ca.pem"), hosts, log)
}

// reachable is an address by which this host itself reaches a listener.
func reachable(at net.Addr) string {
	tcp, ok := at.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return at.String()
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return net.JoinHostPort(host, fmt.Sprint(tcp.Port))
}

// looksEvery is how often a server looks for work that others have left.
const looksEvery = 10 * time.Second

// finishForEver does the cleans, and finishes what lapsed, until ctx ends. Where the store
// is not the one any more that was opened, it says so to end, and ends.
func finishForEver(ctx context.Context, e *core.Engine, wake <-chan struct{}, log *slog.Logger, end func(why error)) {
	tick := time.NewTicker(looksEvery)
	defer tick.Stop()
	for {
		given, err := e.Work(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, core.ErrOutdated) {
			end(err)
			return
		}
		if err != nil {
			log.Error("work", "error", err)
		} else if len(given) > 0 {
			log.Warn("nodes are out of reach; trying again", "nodes", given)
		}
		select {
		case <-wake:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
