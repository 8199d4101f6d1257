// Package configio gives the configuration language its files: the only part
// of the config wing that touches the host. It reads, and writes what was
// formatted; it decides nothing.
package configio
