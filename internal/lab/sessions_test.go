package lab_test

import (
	"context"
	"net/netip"
	"testing"
	"time"
)

func TestSessionsLiveAndFail(t *testing.T) {
	t.Parallel()
	l := build(t, pair)
	client, server := l.Host("client"), l.Host("server")
	echo, err := server.Echo(":7000")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, err := client.Open(ctx, netip.AddrPortFrom(target.Addr(), 7000), 200)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if r := s.Exchange(5 * time.Second); len(r.Failed) != 0 || r.Exchanges != 200 || echo.Connections() != 200 {
		t.Errorf("%d connections at the server: %s", echo.Connections(), r)
	}
	word := []byte("the server speaks first")
	if err := echo.Push(word); err != nil {
		t.Fatal(err)
	}
	if err := s.Expect(word, 5*time.Second); err != nil {
		t.Error(err)
	}
	short, stop := context.WithTimeout(ctx, 200*time.Millisecond)
	defer stop()
	if r := s.Talk(short, 50*time.Millisecond, 5*time.Second); len(r.Failed) != 0 || r.Exchanges < 200 {
		t.Errorf("under traffic: %s", r)
	}
	echo.Close()
	if r := s.Exchange(5 * time.Second); len(r.Failed) != 200 {
		t.Errorf("the server is gone, and %s", r)
	}
}
