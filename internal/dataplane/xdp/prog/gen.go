package prog

//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -cflags "-O2 -g -mcpu=v3 -Wall -Wextra -Werror -I/usr/include/x86_64-linux-gnu" -type conn -type reply -type conn_set -type flow -type dest -type dest_count -type service_key -type service -type service_run -type settings_block -type runtime_block -type counters -type clock -type meta_block -type frag_key -type frag -type reason -type conn_state -type conn_word -type sched_kind -type service_flags -type method -type dest_flags -type dcount_flags -type setting_flags -type jump XDP ../../../../bpf/xdp_lb.bpf.c
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -cflags "-O2 -g -mcpu=v3 -Wall -Wextra -Werror -I/usr/include/x86_64-linux-gnu" TC ../../../../bpf/tc_lb.bpf.c
