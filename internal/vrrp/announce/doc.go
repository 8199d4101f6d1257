// Package announce tells a segment where an address now is: gratuitous ARP
// requests, sender and target both the address, to everybody, in the form
// keepalived sends them. When and how often is the election's decision.
package announce
