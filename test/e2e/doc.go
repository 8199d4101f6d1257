// Package e2e plays whole stories with the real binary: unchanged
// configurations of the field reports, real directors in a lab of namespaces,
// real requests, real failures. It holds tests alone.
//
// Each test has its own lab; they run side by side, also beside another copy
// of themselves. They need root, and skip without it.
package e2e
