// Package api is the way into a running director: a control socket that
// speaks HTTP and JSON, and the client for it.
//
//	GET  /v1/status       snapshot.Snapshot
//	GET  /v1/services     []lvs.ServiceStatus, live counts
//	GET  /v1/connections  one Connection a line (NDJSON), streamed
//	POST /v1/reload       ReloadResult; 200 when the new configuration runs,
//	                      422 when it was refused and the old one goes on
//
// Errors are {"error": "…"} with a status of 4xx or 5xx. A path of another
// version is 404 and names the versions there are. Fields are added within a
// version, never renamed or removed.
//
// The socket is for root alone (mode 0600). A lock file beside it, held for
// the life of the Listener, keeps a second daemon of the same instance out and
// lets a stale socket be replaced.
//
// The package reads the director through Source and knows nothing else of it.
package api
