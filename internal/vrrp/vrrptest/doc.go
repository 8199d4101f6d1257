// Package vrrptest is a simulated LAN for vrrp.Machine: directors on segments
// with delay, loss, duplication and cuts in either direction, time that passes
// at once, and one seed for all chance. After every event it checks what must
// hold of an election (see invariants).
//
// A scenario is a script, so that a failing random one can be kept as a file.
// Run plays it; Random makes one up from a seed. Time is written as in Go
// ("1.5s"), everything after # is a comment:
//
//	seed 42
//	router r1 eth0=10.7.0.11 eth1=10.8.0.11
//	instance r1 VI_1 iface=eth0 vrid=51 prio=100 vip=10.7.0.100 [advert=1s] [auth=pass:secret|ah:secret]
//	         [preempt=no] [delay=5s] [skipcheck=yes] [noanswer=yes] [lastword=yes] [primary=no]
//	         [garp=5/5s/0s/1] [lowgarp=5/5s] [src=ADDR]         again: changes what is given
//	group r1 G1 VI_1 VI_2
//	script r1 chk rise=2 fall=2
//	track r1 VI_1|G1 iface|script NAME [weight=-20] [reverse=yes]
//	startup r1 5s                vrrp_startup_delay
//	drop r1 VI_1                 take an instance, group or script out again
//	start r1                     cold; again after stop or kill: a new process
//	resume r1                    a new process that goes on after kill
//	reload r1                    what instance, group, script, track and drop changed
//	stop r1 / kill r1
//	link r1 eth0 up|down
//	addr r1 eth0 ADDR|none
//	result r1 chk ok|fail|timeout|signal
//	lost r1 VI_1                 somebody removes an address
//	failover r1 VI_1
//	hostdelay r1 30ms            from becoming Active to having the addresses
//	net [loss=0.1] [dup=0.1] [delay=1ms..20ms]
//	cut eth0 r1 r2               from r1 to r2 only
//	split eth0 r1 r2             in both directions
//	heal                         no cuts, no loss, no duplicates, default delay
//	show adverts|announcements on|off
//	run 10s
//	status                       where everybody is
package vrrptest
