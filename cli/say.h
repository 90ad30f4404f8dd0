/* relive's own words: sentences on standard error. */
#ifndef RELIVE_CLI_SAY_H
#define RELIVE_CLI_SAY_H

/**
 * Print one sentence to standard error after "relive: ". Control characters in it (from file names, or from a trace
 * somebody else made) are printed escaped, so no terminal obeys them.
 */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** The same for a failure of relive itself. Returns EXIT_RELIVE. */
int fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
