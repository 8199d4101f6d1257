// Package director runs one director: it builds every part from the
// configuration, owns the loop in which all control-plane state lives, and
// carries out reload, takeover and shutdown.
//
// Whatever happens, the loop does the same thing: compute the desired state of
// the host (package desired), apply what differs (package reconcile), publish
// a snapshot, run notify scripts. VRRP has a goroutine of its own (vrrpio)
// with which the loop exchanges messages, so that a slow host operation never
// delays an advert.
package director
