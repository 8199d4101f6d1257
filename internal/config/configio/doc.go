// Package configio gives the configuration language its files: the only part
// of the config wing that touches the host. It reads; it decides nothing.
package configio
