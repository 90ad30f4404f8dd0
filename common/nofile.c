#include "common/nofile.h"

void nofile_raise(struct rlimit *ret_old)
{
	struct rlimit all;

	*ret_old = (struct rlimit){ 0 };
	if (getrlimit(RLIMIT_NOFILE, ret_old) < 0)
		return;
	all = (struct rlimit){ ret_old->rlim_max, ret_old->rlim_max };
	(void)setrlimit(RLIMIT_NOFILE, &all);
}

void nofile_restore(const struct rlimit *old)
{
	if (old->rlim_max)
		(void)setrlimit(RLIMIT_NOFILE, old);
}
