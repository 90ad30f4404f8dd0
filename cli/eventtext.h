/* One event in words, and as members of a JSON object. */
#ifndef RELIVE_CLI_EVENTTEXT_H
#define RELIVE_CLI_EVENTTEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/json.h"
#include "trace-fmt/trace.h"
#include "tracee/sysinfo.h"

/** "syscall", "signal", ...; "?" for no kind. Static storage. */
const char *event_kind_name(unsigned kind);

/**
 * What happened, on one line without a newline; control characters escaped.
 *
 * @live  the thread's memory right after the event; NULL: what arguments point to is shown only where the event holds it.
 */
void event_put_text(FILE *f, struct trace *t, const struct event *ev, const struct sys_mem *live);

/** kind, rip and all that belongs to the kind. */
void event_put_json(struct json *j, struct trace *t, const struct event *ev, const struct sys_mem *live);

/** The instruction pointer at the event: false if it has none (the end of a thread). */
bool event_rip(struct trace *t, const struct event *ev, uint64_t *ret);

/** The members exit_status or signal, and ended, for a wait status. */
void json_wait_status(struct json *j, int wait_status);

#endif
