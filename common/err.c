#include "common/err.h"

#include <string.h>

const char *rl_strerror(int err)
{
	if (err < 0)
		err = -err;
	switch (err) {
	case RL_EGONE: return "the process is gone";
	case RL_ETRUNCATED: return "it ends too early";
	case RL_ECORRUPT: return "it is damaged";
	case RL_EVERSION: return "it was made by a newer relive";
	case RL_EDIVERGED: return "the replay diverged from the recording";
	case RL_EUNSUPPORTED: return "not supported here";
	}
	return strerror(err);
}
