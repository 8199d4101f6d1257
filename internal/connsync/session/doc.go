// Package session is a table of the sessions that directors announce: every
// connection once, compact, with its deadline. It decides what a message does
// to the table, what has run out, what a filter shows and which triggers fire.
// It is pure: the time comes with the message, and with the question.
package session
