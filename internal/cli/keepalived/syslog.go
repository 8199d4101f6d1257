package keepalived

import (
	"fmt"
	"log/slog"
	"log/syslog"
	"sync"
)

var facilities = map[string]syslog.Priority{
	"user": syslog.LOG_USER, "daemon": syslog.LOG_DAEMON,
	"local0": syslog.LOG_LOCAL0, "local1": syslog.LOG_LOCAL1, "local2": syslog.LOG_LOCAL2, "local3": syslog.LOG_LOCAL3,
	"local4": syslog.LOG_LOCAL4, "local5": syslog.LOG_LOCAL5, "local6": syslog.LOG_LOCAL6, "local7": syslog.LOG_LOCAL7,
}

// Syslog writes lines to this host's syslog, each under its identity. The
// error says that there is none: then nothing is written.
func Syslog(facility string) (func(Line), error) {
	return dialSyslog("", "", facility)
}

// dialSyslog is Syslog with a socket of choice.
func dialSyslog(network, addr, facility string) (func(Line), error) {
	var mu sync.Mutex
	writers := map[string]*syslog.Writer{}
	open := func(ident string) (*syslog.Writer, error) {
		mu.Lock()
		defer mu.Unlock()
		if w := writers[ident]; w != nil {
			return w, nil
		}
		w, err := syslog.Dial(network, addr, facilities[facility]|syslog.LOG_INFO, ident)
		if err == nil {
			writers[ident] = w
		}
		return w, err
	}
	if _, err := open(IdentParent); err != nil {
		return nil, fmt.Errorf("syslog: %w", err)
	}
	return func(l Line) {
		w, err := open(l.Ident)
		if err != nil {
			return // it was there at the start; there is nobody to tell
		}
		// What cannot be sent is lost, as everywhere with syslog.
		switch {
		case l.Level >= slog.LevelError:
			_ = w.Err(l.Text)
		case l.Level >= slog.LevelWarn:
			_ = w.Warning(l.Text)
		default:
			_ = w.Info(l.Text)
		}
	}, nil
}
