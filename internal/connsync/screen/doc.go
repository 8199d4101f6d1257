// Package screen is the live view of a Watch on a terminal: the table or the
// summary, with filter and sort. Model is what is on the screen and what a key
// does to it, without a terminal; Run plays it on one.
//
// The sessions are fetched beside the keyboard, once or twice a second and not
// more often than a tenth of the time allows; of a million only the rows that
// are shown are kept.
package screen
