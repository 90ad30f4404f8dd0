/* Include last: functions that are too easy to misuse do not compile from here on.
 *
 *	strcpy strcat sprintf vsprintf gets   write past the end   -> snprintf, memcpy with a checked length
 *	strncpy strncat                       may not terminate    -> snprintf
 *	strtok                                hidden state         -> strcspn, strsep
 *	atoi atol atoll atof                  hide errors          -> strtol and friends
 *	alloca                                unchecked stack      -> malloc, autofree
 *	gmtime localtime ctime asctime        hidden state         -> the _r forms
 *	mktemp tmpnam tempnam                 races                -> mkstemp, memfd_create
 */
#ifndef RELIVE_BANNED_H
#define RELIVE_BANNED_H

#undef strcpy
#undef strcat
#undef strncpy
#undef strncat
#undef sprintf
#undef vsprintf
#undef strtok
#undef alloca

#pragma GCC poison strcpy strcat sprintf vsprintf gets strncpy strncat strtok
#pragma GCC poison atoi atol atoll atof alloca
#pragma GCC poison gmtime localtime ctime asctime mktemp tmpnam tempnam

#endif
