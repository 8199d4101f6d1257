// Package connsyncio is the sync daemon: the sockets, timers and goroutines
// that drive package connsync. A master announces what the dataplane reports,
// a backup enters what it hears into the dataplane; between kaname peers a
// backup that comes late fetches the whole table.
package connsyncio
