package watch

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Webhook tells web servers what happened.
type Webhook struct {
	// Timeout limits one attempt.
	Timeout time.Duration
	// Backoff is the pauses between attempts; there is one attempt more than
	// pauses.
	Backoff []time.Duration

	client http.Client
}

// NewWebhook returns a Webhook with three attempts of 5 s, 1 and 4 s apart.
func NewWebhook() *Webhook {
	return &Webhook{
		Timeout: 5 * time.Second,
		Backoff: []time.Duration{time.Second, 4 * time.Second},
		// A POST that is sent elsewhere comes there as a GET: nobody would see it.
		client: http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

// CheckURL says what is wrong with the address of a webhook.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("webhook %q: want http://HOST/PATH or https://HOST/PATH", text)
	}
	return nil
}

// Post sends the fields of j to the address as JSON. It tries again when the
// server cannot be reached, is overloaded (429) or in trouble (5xx); another
// refusal would be the same the next time.
func (w *Webhook) Post(ctx context.Context, address string, j Job) error {
	body, err := j.Fields.JSON(j.Merged)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		again, err := w.post(ctx, address, body)
		switch {
		case err == nil:
			return nil
		case !again || n == len(w.Backoff):
			return fmt.Errorf("webhook %s: attempt %d: %w", address, n+1, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("webhook %s: broken off: %w", address, err)
		case <-time.After(w.Backoff[n]):
		}
	}
}

func (w *Webhook) post(ctx context.Context, address string, body []byte) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "kaname-watch")
	resp, err := w.client.Do(req)
	if err != nil {
		return true, err
	}
	defer resp.Body.Close()
	// Read to the end, within reason, so that the connection can be used again.
	_, _ = io.CopyN(io.Discard, resp.Body, 1<<16)
	if resp.StatusCode/100 == 2 {
		return false, nil
	}
	return resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode/100 == 5, fmt.Errorf("the server answers %s", resp.Status)
}
