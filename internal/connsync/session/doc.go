// Package session is a table of the sessions that directors announce: every
// connection once, compact, with its deadline. It decides what a message does
// to the table, what has run out, what a filter shows and which triggers fire.
// It is pure: the time comes with the message, and with the question. Nothing
// here may be used by two goroutines at once.
//
// A session takes 64 bytes with IPv4 and 96 with IPv6, and 11 to 21 in the
// index; there is no allocation per session.
//
//	datagram -> Table.Apply -> Event -> Machine.Step -> Firing
//	                  |
//	             Filter, Summarize, Detect
package session
