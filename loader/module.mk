# SPDX-License-Identifier: GPL-2.0-only
include loader/kern.mk
loader_common_SRC := loader/cgroups.c loader/compiled.c loader/control.c loader/control_path.c loader/diag_json.c \
		     loader/explain.c loader/member_paths.c loader/reader.c
ulspd_SRC := loader/by_exec.c loader/daemon.c loader/enforced.c loader/flows.c \
	     loader/log.c loader/loop_thread.c loader/lsm.c loader/lsm_objects.c loader/lsm_sync.c loader/members.c \
	     loader/monitor.c loader/netns.c loader/parking.c loader/requests.c \
	     loader/requests_flow.c loader/requests_group.c loader/requests_stats.c \
	     loader/server.c loader/sockets.c loader/spawn.c loader/supervised.c \
	     loader/supervised_end.c loader/supervised_start.c loader/supervisor.c loader/syn.c \
	     loader/takeover.c loader/transaction.c loader/transaction_finish.c \
	     loader/transaction_next.c \
	     loader/transaction_swap.c loader/ulsp_cgroup.c loader/ulsp_output.c loader/ulspd.c
ulspctl_SRC := loader/ctl_check.c loader/ctl_client.c loader/ctl_daemon.c loader/ctl_diff.c \
	       loader/ctl_doctor.c loader/ctl_explain.c loader/ctl_flow.c loader/ctl_group.c \
	       loader/ctl_load.c loader/ctl_monitor.c loader/ctl_options.c loader/ctl_output.c \
	       loader/ctl_run.c loader/ctl_source.c loader/ctl_stats.c loader/ctl_ulsp.c loader/private.c \
	       loader/ulspctl.c
