#include "tracee/sysinfo.h"
#include "tracee/sysinfo_nr.h"
#include "tracee/sysout.h"

#include <errno.h>

/* The short names that the table uses. */
enum {
	BLOCK = SYSF_MAY_BLOCK,
	WRITES = SYSF_WRITES_FILE,
	FD0 = SYSF_FD0,
	RETFD = SYSF_RET_FD,
	RETADDR = SYSF_RET_ADDR,
	SETREGS = SYSF_SETS_REGS,
	REMOTE = SYSF_REMOTE_WRITE,
	INPLACE = SYSF_IN_PLACE,
};

#define NONE { .kind = SO_NONE }
#define OUT(a, size) { .kind = SO_FIXED, .arg = a, .unit = size }
#define OUT_POS(a, size) { .kind = SO_POSITIVE, .arg = a, .unit = size }
#define OUT_RET(a, n) { .kind = SO_RESULT, .arg = a, .count = n, .unit = 1 }
#define OUT_RETN(a, size, n) { .kind = SO_RESULT, .arg = a, .count = n, .unit = size }
#define OUT_BUF(a, n) { .kind = SO_ARRAY, .arg = a, .count = n, .unit = 1 }
#define OUT_ARR(a, size, n) { .kind = SO_ARRAY, .arg = a, .count = n, .unit = size }
#define CUSTOM(f) { .kind = SO_CUSTOM, .fn = sysout_##f }

#define SYSCALL(nr, sys, cl, fl, letters, ...) \
	[nr] = { .name = #sys, .args = letters, .class = SC_##cl, .flags = fl, \
		 .out = (const struct sys_out[SYS_OUTS_MAX]){ __VA_ARGS__ } },
#define REFUSE(nr, sys, error, letters) \
	[nr] = { .name = #sys, .args = letters, .class = SC_REFUSE, .err = error, \
		 .out = (const struct sys_out[SYS_OUTS_MAX]){ NONE } },
static const struct sys_desc table[SYS_NR_END] = {
#include "tracee/syscalls.def"
};
#undef SYSCALL
#undef REFUSE

#define SYSCALL(nr, sys, ...) _Static_assert(__NR_##sys == (nr), #sys);
#define REFUSE(nr, sys, ...) _Static_assert(__NR_##sys == (nr), #sys);
#include "tracee/syscalls.def"

const struct sys_desc *sys_desc(int nr)
{
	if (nr < 0 || nr >= SYS_NR_END || table[nr].class == SC_UNKNOWN)
		return NULL;
	return &table[nr];
}
