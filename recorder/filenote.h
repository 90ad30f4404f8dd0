/*
 * What earlier recordings found in a file: hashes of its contents, under which these are kept packed, and the instructions that
 * must trap. A file that is as it was then needs neither be read nor looked through. A note is kept in the user's cache.
 *
 * A file is "as it was" while its device, inode, size and times are. Nobody can set the time of the last change (ctime) to what
 * he wants, and file systems that write back change it before each change of the contents. What could escape that:
 * - stores through a mapping into a page that is dirty already do not change it: so dirty pages are written out before a
 *   note's contents are read, and only file systems are trusted that protect clean pages;
 * - a change within the same tick of the clock, or one that is under way: so young files have no notes;
 * - times that were lost in a crash of the machine: so a note holds until the next boot.
 */
#ifndef RELIVE_RECORDER_FILENOTE_H
#define RELIVE_RECORDER_FILENOTE_H

#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>
#include "trace-fmt/trace.h"
#include "tracee/insn_site.h"

struct file_note;

/** The note on an open file, an empty one if there is none in the cache; @now: seconds since 1970. NULL: none can be kept. */
struct file_note *file_note_open(struct trace_writer *w, int fd, const struct stat *st, time_t now);

/** Whether the file is still what the note is on. */
bool file_note_holds(const struct file_note *n, const struct stat *st);

/** The group of 64 pages number @i, or NULL if nothing is noted of it. */
const struct trace_group *file_note_group(const struct file_note *n, uint64_t i);
/** Its pages: 64, but for the last one. */
uint64_t file_note_pages(const struct file_note *n, uint64_t i);
void file_note_add_group(struct file_note *n, uint64_t i, const struct trace_group *g);

/** A descriptor on the file, to which the note's life is tied. */
int file_note_fd(const struct file_note *n);

/** Copy the sites that were noted. False: none were, or memory is short. */
bool file_note_sites(const struct file_note *n, struct insn_sites *ret, bool *ret_searched);
void file_note_add_sites(struct file_note *n, const struct insn_sites *s, bool searched);

/** Keep what was added, if the file is still the same, in the cache. */
void file_note_keep(struct trace_writer *w, struct file_note *n);
void file_note_free(struct file_note *n);

#endif
