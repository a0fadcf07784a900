package provider

import (
	"context"
	"log/slog"

	"github.com/hashicorp/terraform-plugin-log/tflog"
)

// logger writes to Terraform's log, which TF_LOG shows. The engine logs outside of
// calls, too: what Terraform's log needs is taken from the context of the call that
// opened the pool, which itself may end.
func logger(ctx context.Context) *slog.Logger {
	return slog.New(tfHandler{ctx: context.WithoutCancel(ctx)})
}

type tfHandler struct {
	ctx   context.Context // Terraform's logger lives in it
	attrs []slog.Attr
}

func (h tfHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h tfHandler) Handle(_ context.Context, r slog.Record) error {
	fields := map[string]any{}
	add := func(a slog.Attr) bool {
		fields[a.Key] = a.Value.Resolve().String()
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	switch {
	case r.Level >= slog.LevelError:
		tflog.Error(h.ctx, r.Message, fields)
	case r.Level >= slog.LevelWarn:
		tflog.Warn(h.ctx, r.Message, fields)
	case r.Level >= slog.LevelInfo:
		tflog.Info(h.ctx, r.Message, fields)
	default:
		tflog.Debug(h.ctx, r.Message, fields)
	}
	return nil
}

func (h tfHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.attrs = append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)
	return h
}

func (h tfHandler) WithGroup(string) slog.Handler { return h }
