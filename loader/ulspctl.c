// SPDX-License-Identifier: GPL-2.0-only
/* ulspctl: asks ulspd, compiles policies, runs programs in a group. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "ctl.h"

static const struct command commands[] = {
	{"run", "-g GROUP -- CMD...", "Run a program as a member of a group",
	 "  -p, --policy FILE    take the group from FILE (or a directory): the running daemon\n"
	 "                       is used when it has that very group loaded, else a private\n"
	 "                       instance lives as long as CMD\n"
	 "  -g, --group GROUP    the group; may be left out when FILE has only one\n"
	 "  -v, --verbose        also what the private instance does, not only its warnings\n"
	 "\nCMD has the caller's user, environment, directory and terminal.  The exit status is\n"
	 "CMD's, 128 + N when signal N ended it.  Processes that CMD leaves behind are killed.\n",
	 cmd_run},
	{"check", "FILE...", "Parse and compile a policy, change nothing",
	 "FILE may be a directory (all *.ulsp in it) or - (stdin).  Needs no privilege.\n"
	 "Warnings and notes don't fail.\n",
	 cmd_check},
	{"load", "FILE...", "Swap the running policy for this one, all or nothing",
	 "FILE may be a directory (all *.ulsp in it) or - (stdin).\n", cmd_load},
	{"diff", "FILE...", "What loading a policy would change",
	 "  -e, --exit-code      exit 1 when something would change\n"
	 "\n- a rule that goes, + one that comes, ~ one that moves to another place in the order.\n"
	 "FILE may be a directory (all *.ulsp in it) or - (stdin).\n",
	 cmd_diff},
	{"group", "list|show|attach|detach|mode", "Groups and their cgroups", NULL, cmd_group},
	{"monitor", "", "Show operations as they happen, one a line",
	 "  -g, --group GROUP    of this group only\n"
	 "  -o, --output FORMAT  text (default) or json\n"
	 "  -n, --count N        end after N messages\n"
	 "\nLost messages are counted and said with their cause.\n",
	 cmd_monitor},
	{"explain", "GROUP OP PROTO ADDR PORT", "Which rule decides an operation",
	 "  -p, --policy FILE    decide on FILE, without a daemon\n"
	 "  -u, --uid UID        of the process (default: the caller's)\n"
	 "  -x, --exec PATH      executable of the process (default: none that a rule names)\n"
	 "      --from ADDR[:PORT]  the sending end: connect, sendto: local; accept, recvfrom: "
	 "peer\n"
	 "      --to ADDR[:PORT]    the receiving end\n"
	 "\nOP: socket bind connect listen accept sendto recvfrom.  PROTO: tcp udp icmp raw "
	 "other.\n"
	 "ADDR is the peer's (bind, listen: the own) and PORT the remote one (bind, listen, "
	 "accept,\n"
	 "recvfrom: the local one).  Runs the loaded decision; with --policy the same code here.\n",
	 cmd_explain},
	{"ulsp", "list|show|restart", "The programs that receive messages", NULL, cmd_ulsp},
	{"flow", "list|flush", "Verdicts that ULSPs gave and that answer for them", NULL, cmd_flow},
	{"stats", "", "Counters of groups, rules, streams and ULSPs",
	 "  -g, --group GROUP    of this group only\n"
	 "  -z, --zero           rules that never matched, too\n",
	 cmd_stats},
	{"doctor", "", "What this kernel and the loaded policy can and can't do",
	 "Exits 1 when something that ulspd needs is missing.\n", cmd_doctor},
	{"version", "", "Versions of ulspctl and the running ulspd", NULL, cmd_version},
	{"shutdown", "", "Detach everything, remove the pins and end the daemon",
	 "  -k, --keep           end the daemon only: the policy stays enforced\n", cmd_shutdown},
};

int main(int argc, char **argv)
{
	const char *instance = getenv("ULSP_INSTANCE");
	struct ctl c = {
		.instance = instance && *instance ? instance : "system",
		.colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR"),
	};
	int r;

	if (!control_instance_ok(c.instance))
		return ctl_usage(&c, "ULSP_INSTANCE: \"%s\" is no instance name", c.instance);
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	r = ctl_dispatch(&c, commands, sizeof(commands) / sizeof(*commands), argc, argv);
	if (fflush(stdout) && r == CTL_OK)
		r = CTL_FAILED;
	return r;
}
