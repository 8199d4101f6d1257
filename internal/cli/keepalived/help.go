package keepalived

// VersionLine is the first line of `keepalived --version`, whose second word
// scripts take for the version; kaname's own is in brackets.
func VersionLine(kaname string) string { return "Keepalived v2.2.7 (kaname " + kaname + ")" }

// HelpText is what -h prints.
const HelpText = `kaname, started as keepalived: VRRP, checks and balancing from one keepalived.conf.

  keepalived [-n] [-l] [-D] [-f FILE] ...    be a director
  keepalived -t [-f FILE]                    say what is wrong with a file
  keepalived --signum=NAME | -v | -h

configuration:
  -f, --use-file=FILE          read FILE (default /etc/keepalived/keepalived.conf)
  -i, --config-id=ID           what @ID lines are compared with (default the host name up to the first dot)
  -e, --all-config             a missing or unreadable include is an error
  -t, --config-test[=FILE]     check only; messages to standard error, or to FILE
  -d, --dump-conf              log what was read at the start

what runs:
  -P, --vrrp                   VRRP alone, no virtual servers
  -C, --check                  virtual servers and their checks alone
  -B, --no_bfd                 no BFD
      --all                    everything
  -n, --dont-fork              stay in the foreground
  -s, --namespace=NAME         run in the network namespace NAME
  -u, --umask=MASK             mask for files that are made
  -V, --dont-release-vrrp      leave the addresses when stopping
  -I, --dont-release-ipvs      leave the dataplane when stopping
  -p, --pid=FILE               pid file of the parent (/run/keepalived.pid)
  -r, --vrrp_pid=FILE          of VRRP (/run/vrrp.pid)
  -c, --checkers_pid=FILE      of the checkers (/run/checkers.pid)
  -b, --bfd_pid=FILE           of BFD (/run/bfd.pid)

log:
  -l, --log-console            to standard error
  -D, --log-detail             in detail
  -S, --log-facility=F         syslog facility: 0-7, local0-local7, user, daemon (default)
  -G, --no-syslog              not to syslog

taken and without effect here:
  -R -X -a -x -A -m -M

questions:
      --signum=NAME            the number of STOP, RELOAD, DATA, STATS, STATS_CLEAR or JSON
  -v, --version
  -h, --help

kaname's own:
      --instance=NAME --run-dir=DIR --pin-dir=DIR    as kaname run has them
      --show-secrets           passwords in clear in what DATA and JSON write

Exit status: 0; 1 refused command line or fatal; 2 configuration, or with -t a
parameter is missing; with -t 4 file, 5 configuration, 6 script security; more
in docs/exit-codes.md.
`
