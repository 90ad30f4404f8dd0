/* The golden files hold this trace: what it says may not change, only be added to in a file of its own.
 *
 * A small trace that uses every part of the format, and the comparison of what was written with what is read. */
#ifndef RELIVE_TEST_SAMPLE_H
#define RELIVE_TEST_SAMPLE_H

#include "trace-fmt/trace.h"

#define SAMPLE_EVENTS 12u
#define SAMPLE_OBJECTS 2u
#define SAMPLE_CKPTS 2u
#define SAMPLE_EXIT_STATUS 0x0100
#define SAMPLE_LONG_WRITE 100000u      /* bytes; too long to stand in an event chunk */

/* Event number @no, 1..SAMPLE_EVENTS: what trace_append() was given. Valid until the next call. */
const struct event *sample_event(uint64_t no);

/* Page @i of the content that was put; i 0 is a page of zeros, i 5 has the content of i 1. */
const uint8_t *sample_page(unsigned i);
#define SAMPLE_PAGES 70u

/* Write the whole sample; flushes between some events, so that there are several chunks of each kind. */
void sample_write(const char *path);
void sample_write_to(struct trace_writer *w);   /* all but trace_finish() */
extern const struct trace_header sample_header;

/* cmocka assertions: the trace holds at least @n_events events of the sample, all that they need, and its header. */
void sample_assert_readable(struct trace *t, uint64_t n_events);
void assert_event_equal(const struct event *got, const struct event *want);

/** Read all that can be read, and touch each byte of it; errors are no failure. Returns the events read. */
uint64_t walk_everything(struct trace *t);

/* A new name for a file that the test removes; static storage, two calls may be in use. */
const char *scratch_path(void);

#endif
