// Package ipvsadm is the face of ipvsadm 1.31: its command line and the layout
// of everything it lists, byte for byte, so that scripts written for it go on
// working. Parse turns arguments into a Request, the Write functions print.
//
// It only lists. What changes the table (-A, -E, -D, -a, -e, -d, -C, -R, -Z)
// parses to a refusal: the services of a director follow from its
// configuration. It does not know where the table comes from.
package ipvsadm
