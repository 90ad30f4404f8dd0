/* Debug logging: silent unless RELIVE_DEBUG is in the environment. Libraries say nothing else. */
#ifndef RELIVE_LOG_H
#define RELIVE_LOG_H

#include <stdbool.h>

/* Whether RELIVE_DEBUG is set to something other than "0"; looked up once. */
bool log_enabled(void);
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
