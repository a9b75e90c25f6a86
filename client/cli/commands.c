/* The command table. */
#include "commands.h"

#include <string.h>

#define FUTURES  (GROUP_ENDPOINT)
#define ANY      SIZE_MAX
#define ID_INPUT "An ID of `-` reads IDs from standard input, one a line."

const struct command commands[] = {
	{"register", "ID…", "have the daemon poll these requests",
	 "Prints the ids, one a line, as soon as the daemon has stored them; from then on it polls them, "
	 "whatever becomes of "
	 "this machine's processes. Registering again is harmless: what ended with a final answer stays as "
	 "it is, what "
	 "was given up is taken up again.\n" ID_INPUT,
	 FUTURES | GROUP_REGISTER, 1, ANY, command_register},
	{"retry", "ID…", "poll again what has ended",
	 "As register, but a future that has ended is polled again from the beginning, and its outcome is "
	 "forgotten.\n" ID_INPUT,
	 FUTURES | GROUP_REGISTER, 1, ANY, command_retry},
	{"await", "ID…", "wait until these have ended and print their results",
	 "Registers what is not registered yet (those ids are told on stderr), waits for all, and prints one "
	 "line for each, in "
	 "the order given: the id, ok or failed, and the result or the reason. Each result is acknowledged "
	 "once it "
	 "was written out. On Ctrl-C the daemon goes on polling. Without ids, --where chooses among what is "
	 "registered.\n" ID_INPUT,
	 FUTURES | GROUP_WHERE | GROUP_REGISTER | GROUP_AWAIT | GROUP_HANDOVER, 0, ANY, command_await},
	{"collect", "[ID…]", "print the results that are there, without waiting",
	 "Without ids: everything of yours that has ended, oldest first. Each result is acknowledged once it "
	 "was written "
	 "out. For an id that has not ended its state is printed, and the exit code is 5.\n" ID_INPUT,
	 FUTURES | GROUP_WHERE | GROUP_HANDOVER | GROUP_PAGE, 0, ANY, command_collect},
	{"ack", "ID…", "acknowledge results: the daemon may forget them", ID_INPUT, FUTURES | GROUP_WHERE, 0,
	 ANY, command_ack},
	{"cancel", "ID…", "stop polling these requests",
	 "The server knows no cancelling: the request itself goes on there.\n" ID_INPUT,
	 FUTURES | GROUP_WHERE, 0, ANY, command_cancel},
	{"status", "ID…", "everything that is known of a future", "", FUTURES | GROUP_ALL, 1, ANY,
	 command_status},
	{"list", "", "what is registered",
	 "Without --endpoint: at all endpoints. On a narrow terminal columns are left out; --json has "
	 "everything.",
	 FUTURES | GROUP_WHERE | GROUP_STATE | GROUP_PAGE | GROUP_ALL, 0, 0, command_list},
	{"endpoints", "", "the endpoints that you may use, and whether they answer", "", 0, 0, 0,
	 command_endpoints},
	{"stats", "", "the daemon's counters", "", 0, 0, 0, command_stats},
	{"ping", "", "whether the daemon answers", "", 0, 0, 0, command_ping},
	{"help", "[COMMAND]", "explain tinkexctl or a command", "", 0, 0, 1, command_help},
	{"version", "", "versions of this program, its library and the daemon", "", 0, 0, 0, command_version},
};
const size_t command_count = sizeof(commands) / sizeof(commands[0]);

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < command_count; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}
