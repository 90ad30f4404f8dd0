/*
 * What replaying asks of the process that does it, as long as it has any session: to stay on one processor, together
 * with its hosts; and a TICK, a signal that comes at intervals and interrupts what waits, as wait(2) knows no time limit.
 */
#ifndef RELIVE_REPLAYER_SELF_H
#define RELIVE_REPLAYER_SELF_H

#include <stdbool.h>

/**
 * Calls nest. Whatever is refused here is only done without.
 *
 * @cpu  the processor's number that recording was pinned to. That is taken where it can be, and not only for speed:
 *       cpuid tells on which processor it ran (the APIC id), and so does rdpid, and cannot be trapped everywhere.
 */
void self_enter(int cpu);
/** The last one puts back what the first one found. */
void self_leave(void);

/** Let ticks come so much faster for a while, or (false) no more. */
void self_hurry(bool on);

/** Ticks so far: when this has changed it is worth to look again at what others may want. */
unsigned self_ticks(void);

#endif
