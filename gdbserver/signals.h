/* Signal numbers: the protocol has its own, whatever the system (gdb/signals.def in gdb's sources). */
#ifndef RELIVE_GDB_SIGNALS_H
#define RELIVE_GDB_SIGNALS_H

#define GDB_SIGINT 2
#define GDB_SIGTRAP 5

/* The protocol's number for a Linux signal; 143, "unknown", if it has none. */
int signal_to_gdb(int signo);
/* The Linux signal for one of the protocol's numbers; 0 if there is none. */
int signal_from_gdb(int number);

#endif
