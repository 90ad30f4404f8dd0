/* Whether a descriptor of another process is an open file of ours. */
#ifndef RELIVE_TRACEE_SAMEFILE_H
#define RELIVE_TRACEE_SAMEFILE_H

#include <stdbool.h>
#include <sys/types.h>

/**
 * Whether @fd of task @tid and our own @own_fd are one open file description. Asks kcmp(2); where that is denied, as in
 * containers, whether all that /proc tells of the two is equal: two descriptions of a file, at the same position
 * and opened alike, are then taken for one.
 */
bool same_open_file(pid_t tid, int fd, int own_fd);

#endif
