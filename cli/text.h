/* Text for people and for programs: strings from a trace are hostile until they went through here. */
#ifndef RELIVE_CLI_TEXT_H
#define RELIVE_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum text_flags {
	TEXT_LINES = 1u << 0,   /* newlines and tabs pass */
	TEXT_ARG = 1u << 1,     /* spaces and shell characters make it 'quoted', so that it can be pasted into a shell */
};

/**
 * Print @n bytes. Printable UTF-8 passes; control characters, broken UTF-8 and characters that turn the direction
 * of the text are printed as \n, \t, \xNN.
 */
void text_put(FILE *f, const char *s, size_t n, unsigned flags);

/** Print a command line: its words, quoted where a shell would need it. */
void text_put_argv(FILE *f, uint32_t n_argv, const char *const *argv);

/** Append @s to the @n bytes at @out quoted for sh(1). Returns false, with @out unspecified, if it doesn't fit. */
bool text_sh_quote(const char *s, char *out, size_t n);

/** "17 bytes", "1.2 MB". In @buf, returned. */
#define TEXT_BYTES_MAX 32
const char *text_bytes(uint64_t n_bytes, char buf[TEXT_BYTES_MAX]);

/** A number with its thousands parted by commas. In @buf, returned. */
#define TEXT_COUNT_MAX 32
const char *text_count(uint64_t n, char buf[TEXT_COUNT_MAX]);

/** What a wait status means: "exit status 3", "killed by SIGSEGV". In @buf, returned. */
#define TEXT_STATUS_MAX 64
const char *text_status(int wait_status, char buf[TEXT_STATUS_MAX]);

/** "SIGSEGV" or "signal 77". In @buf, returned. */
#define TEXT_SIGNAL_MAX 24
const char *text_signal(int signo, char buf[TEXT_SIGNAL_MAX]);

/** The exit status a shell gives for a wait status: 128+n for a signal. */
int status_to_exit(int wait_status);

/**
 * Flush standard output and judge it. 0; or, after saying so, EXIT_RELIVE when it could not be written. A reader that
 * left (`relive dump | head`) is nobody's failure: 0.
 */
int stdout_finish(void);

#endif
