// Package cli is the command line of kaname, one file a subcommand. Main is a
// function of an Env and arguments, so that every subcommand is a unit test.
//
// Subcommands parse, ask and print. What they ask is either pure (check reads
// a configuration) or a running director, by the control socket in package
// api; run and lab start the packages of those names.
//
// Called as `ipvsadm` (a symbolic link) the program is `kaname ipvs`.
package cli
