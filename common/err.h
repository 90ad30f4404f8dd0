/* Error codes of the project. Functions return 0 or a negative code: -errno, or one of these negated. */
#ifndef RELIVE_ERR_H
#define RELIVE_ERR_H

enum rl_err {
	RL_EGONE = 4000,   /* the tracee died under us: normal during exit_group */
	RL_ETRUNCATED,     /* the bytes end inside a record */
	RL_ECORRUPT,       /* the bytes break the format's rules */
	RL_EVERSION,       /* made by a newer relive */
	RL_EDIVERGED,      /* replay did not do what the recording did */
	RL_EUNSUPPORTED,   /* cannot be done on this machine or with this program */
};

/** A short phrase for a negative code of either kind. Static storage. */
const char *rl_strerror(int err);

#endif
