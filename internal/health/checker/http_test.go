package checker_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/health/checker"
)

const short = 150 * time.Millisecond

func digest(body string) string {
	sum := md5.Sum([]byte(body))
	return hex.EncodeToString(sum[:])
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
	one := func(u checker.URL) checker.HTTPSpec { return checker.HTTPSpec{URLs: []checker.URL{u}} }
	root := checker.URL{Path: "/"}
	for _, tc := range []struct {
		name   string
		answer string
		spec   checker.HTTPSpec
		ok     bool
		want   string
	}{
		{"200", ok, one(root), true, "status 200"},
		{"204 without body", "HTTP/1.0 204 No Content\r\n\r\n", one(root), true, "status 204"},
		{"bare newlines, no phrase", "HTTP/1.0 200\n\nx", one(root), true, "status 200"},
		{"redirect", "HTTP/1.0 302 Found\r\nLocation: /x\r\n\r\n", one(root), false, "status 302, want 200-299"},
		{
			"redirect wanted", "HTTP/1.0 302 Found\r\nLocation: /x\r\n\r\n",
			one(checker.URL{Path: "/", Statuses: []checker.StatusRange{{301, 302}}}), true, "status 302",
		},
		{
			"none of two ranges", "HTTP/1.0 503 Sorry\r\n\r\n",
			one(checker.URL{Path: "/", Statuses: []checker.StatusRange{{200, 200}, {301, 302}}}), false,
			"status 503, want 200, 301-302",
		},
		{"digest", ok, one(checker.URL{Path: "/", Digest: strings.ToUpper(digest("abc"))}), true, "status 200, digest as wanted"},
		{
			"digest differs", ok, one(checker.URL{Path: "/", Digest: digest("abd")}), false,
			"digest differs: got " + digest("abc") + ", want " + digest("abd"),
		},
		{
			"chunks are not decoded", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
			one(checker.URL{Path: "/", Digest: digest("3\r\nabc\r\n0\r\n\r\n")}), true, "status 200, digest as wanted",
		},
		{"content length is not looked at", "HTTP/1.0 200 OK\r\nContent-Length: 99\r\n\r\nabc", one(root), true, "status 200"},
		{"nothing", "", one(root), false, "connection closed without an answer"},
		{"cut", "HTTP/1.0 200 OK\r\nSer", one(root), false, "connection closed within the head of the answer"},
		{"not HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", one(root), false, `no HTTP status line: "SSH-2.0-OpenSSH_9.2"`},
		{"no number", "HTTP/1.0 abc\r\n\r\n", one(root), false, `no HTTP status line: "HTTP/1.0 abc"`},
		{"endless head", "HTTP/1.0 200 OK\r\n" + strings.Repeat("X: y\r\n", 20000), one(root), false, "head of the answer is longer than 64 KiB"},
		{"several", ok, checker.HTTPSpec{URLs: []checker.URL{root, {Path: "/b"}}}, true, "status 200"},
		{
			"second of several", ok,
			checker.HTTPSpec{URLs: []checker.URL{root, {Path: "/b", Statuses: []checker.StatusRange{{404, 404}}}}},
			false,
			"/b: status 200, want 404",
		},
		{"no url", ok, checker.HTTPSpec{}, false, "no url configured"},
		{"control character", ok, one(checker.URL{Path: "/\r\nX: y"}), false, `path "/\r\nX: y" or host`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			to := listen(t, "127.0.0.1:0", func(c net.Conn) {
				defer c.Close()
				readRequest(c)
				fmt.Fprint(c, tc.answer)
			})
			got := checker.Run(t.Context(), checker.Target{Kind: checker.HTTP, Connect: checker.Connect{To: to}, HTTP: tc.spec})
			if got.OK != tc.ok || !strings.HasPrefix(got.Reason, tc.want) || strings.Contains(got.Reason, "\n") {
				t.Errorf("got %t %q, want %t %q", got.OK, got.Reason, tc.ok, tc.want)
			}
		})
	}
}

// TestHTTPRequest compares the requests with what keepalived sends.
func TestHTTPRequest(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, listen, version, host, want string }{
		{"1.0", "127.0.0.1:0", "", "", "GET /p?q=1 HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: ADDR\r\n\r\n"},
		{"1.0 IPv6", "[::1]:0", "1.0", "", "GET /p?q=1 HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: ADDR\r\n\r\n"},
		{"1.0C", "127.0.0.1:0", "1.0C", "", "GET /p?q=1 HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: ADDR\r\n\r\n"},
		{"1.1", "127.0.0.1:0", "1.1", "www.example.org", "GET /p?q=1 HTTP/1.1\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: www.example.org\r\n\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			requests := make(chan string, 1)
			to := listen(t, tc.listen, func(c net.Conn) {
				defer c.Close()
				requests <- readRequest(c)
				fmt.Fprint(c, "HTTP/1.0 200 OK\r\n\r\n")
			})
			got := checker.Run(t.Context(), checker.Target{
				Kind: checker.HTTP, Connect: checker.Connect{To: to},
				HTTP: checker.HTTPSpec{Version: tc.version, URLs: []checker.URL{{Path: "/p?q=1", Host: tc.host}}},
			})
			if !got.OK {
				t.Fatal(got.Reason)
			}
			if diff := cmp.Diff(strings.ReplaceAll(tc.want, "ADDR", to.String()), <-requests); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

// TestHTTPTime has servers that take their time in every way.
func TestHTTPTime(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.0 200 OK\r\n\r\n"
	hold := func(t *testing.T, say string) netip.AddrPort {
		t.Helper()
		return listen(t, "127.0.0.1:0", func(c net.Conn) {
			defer c.Close()
			fmt.Fprint(c, say)
			io.Copy(io.Discard, c) // until the probe closes
		})
	}
	drip := listen(t, "127.0.0.1:0", func(c net.Conn) {
		defer c.Close()
		fmt.Fprint(c, head)
		for {
			if _, err := c.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(short / 10)
		}
	})
	reset := listen(t, "127.0.0.1:0", func(c net.Conn) {
		readRequest(c)
		fmt.Fprint(c, head)
		time.Sleep(20 * time.Millisecond) // or the reset overtakes the answer
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	})
	slow := listen(t, "127.0.0.1:0", func(c net.Conn) {
		defer c.Close()
		readRequest(c)
		for _, piece := range []string{"HTTP/1.0 2", "00 OK\r", "\n\r", "\nab", "c"} {
			time.Sleep(short / 5)
			fmt.Fprint(c, piece)
		}
	})
	// Those that are to time out do so soon; the others have time on a busy host.
	for _, tc := range []struct {
		name    string
		to      netip.AddrPort
		timeout time.Duration
		ok      bool
		want    string
	}{
		{"says nothing", hold(t, ""), short, false, "timed out after 150ms"},
		{"does not close", hold(t, head), short, false, "timed out after 150ms"},
		{"drips for ever", drip, 5 * short, false, "answer not complete after 3s"},
		{"resets", reset, time.Minute, false, "read: connection reset by peer"},
		{"does not connect", fullListener(t), short, false, "timed out after 150ms"},
		{"in pieces", slow, time.Minute, true, "status 200, digest as wanted"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := checker.Run(t.Context(), checker.Target{
				Kind: checker.HTTP, Connect: checker.Connect{To: tc.to, Timeout: tc.timeout},
				HTTP: checker.HTTPSpec{URLs: []checker.URL{{Path: "/", Digest: digest("abc")}}},
			})
			if got.OK != tc.ok || got.Reason != tc.want {
				t.Errorf("got %t %q, want %t %q", got.OK, got.Reason, tc.ok, tc.want)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		got := checker.Run(ctx, checker.Target{
			Kind: checker.HTTP, Connect: checker.Connect{To: hold(t, head)},
			HTTP: checker.HTTPSpec{URLs: []checker.URL{{Path: "/"}}},
		})
		if got.OK || got.Reason != "cancelled" {
			t.Errorf("got %+v, want cancelled", got)
		}
	})
}

func TestHTTPTooLong(t *testing.T) {
	t.Parallel()
	to := listen(t, "127.0.0.1:0", func(c net.Conn) {
		defer c.Close()
		fmt.Fprint(c, "HTTP/1.0 200 OK\r\n\r\n")
		for block := make([]byte, 1<<20); ; {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
	})
	got := checker.Run(t.Context(), checker.Target{
		Kind: checker.HTTP, Connect: checker.Connect{To: to},
		HTTP: checker.HTTPSpec{URLs: []checker.URL{{Path: "/"}}},
	})
	if got.OK || got.Reason != "answer is longer than 64 MiB" {
		t.Errorf("got %+v", got)
	}
}

func TestFetch(t *testing.T) {
	t.Parallel()
	to := listen(t, "127.0.0.1:0", func(c net.Conn) {
		defer c.Close()
		readRequest(c)
		fmt.Fprint(c, "HTTP/1.0 404 No\r\n\r\nabc")
	})
	got, err := checker.Fetch(t.Context(), checker.Connect{To: to}, "1.0", checker.URL{Path: "/"})
	want := checker.Answer{Status: 404, Digest: "900150983cd24fb0d6963f7d28e17f72", Length: 3} // MD5 of "abc", RFC 1321 §A.5
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if _, err := checker.Fetch(t.Context(), checker.Connect{To: closedPort(t)}, "1.0", checker.URL{Path: "/"}); err == nil {
		t.Error("no error from a closed port")
	}
}

// FuzzAnswer proves that the pieces in which an answer comes do not matter.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody"), 20)
	f.Add([]byte("HTTP/1.0 200\n\n"), 13)
	f.Add([]byte("HTTP/1.0 200 OK\n\r\n\r\n"), 18)
	f.Add([]byte("\r\n\r\n"), 2)
	f.Add([]byte("HTTP/1.0 20\n\n"), 0)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		if cut < 0 || cut > len(b) {
			cut = 0
		}
		whole, wholeErr := checker.ParseAnswer(b)
		parts, partsErr := checker.ParseAnswer(bytes.Clone(b[:cut]), bytes.Clone(b[cut:]))
		if whole != parts || fmt.Sprint(wholeErr) != fmt.Sprint(partsErr) {
			t.Errorf("%q: %+v %v, in two pieces %+v %v", b, whole, wholeErr, parts, partsErr)
		}
		var single [][]byte
		for i := range b {
			single = append(single, b[i:i+1])
		}
		bytewise, err := checker.ParseAnswer(single...)
		if whole != bytewise || fmt.Sprint(wholeErr) != fmt.Sprint(err) {
			t.Errorf("%q: %+v %v, by bytes %+v %v", b, whole, wholeErr, bytewise, err)
		}
		if wholeErr == nil && (whole.Status < 0 || whole.Status > 999) {
			t.Errorf("%q: status %d", b, whole.Status)
		}
	})
}

// readRequest reads up to the empty line.
func readRequest(c net.Conn) string {
	var all []byte
	buf := make([]byte, 1)
	for !bytes.HasSuffix(all, []byte("\r\n\r\n")) {
		n, err := c.Read(buf)
		all = append(all, buf[:n]...)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				return "error: " + err.Error()
			}
			break
		}
	}
	return string(all)
}
