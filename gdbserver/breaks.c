#include "gdbserver/session.h"

#include <errno.h>
#include <stdlib.h>

static struct session_break *break_find(struct session *s, enum target_bp_kind kind, uint64_t addr, uint64_t len)
{
	for (size_t i = 0; i < s->n_breaks; i++) {
		struct session_break *b = &s->breaks[i];

		if (b->kind == kind && b->addr == addr && b->len == len)
			return b;
	}
	return NULL;
}

static int break_room(struct session *s)
{
	size_t cap = s->cap_breaks ? 2 * s->cap_breaks : 16;
	struct session_break *grown;

	if (s->n_breaks < s->cap_breaks)
		return 0;
	if (cap > SESSION_BREAKS_MAX)
		return -E2BIG;
	grown = realloc(s->breaks, cap * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	s->breaks = grown;
	s->cap_breaks = cap;
	return 0;
}

int break_insert(struct session *s, enum target_bp_kind kind, uint64_t addr, uint64_t len)
{
	int err;

	if (break_find(s, kind, addr, len))
		return 0;
	err = break_room(s);
	if (!err)
		err = s->t->ops->add_break(s->t->self, kind, addr, len);
	if (err < 0)
		return err;
	s->breaks[s->n_breaks++] = (struct session_break){ .kind = kind, .addr = addr, .len = len };
	return 0;
}

int break_remove(struct session *s, enum target_bp_kind kind, uint64_t addr, uint64_t len)
{
	struct session_break *b = break_find(s, kind, addr, len);

	if (!b)
		return 0;
	*b = s->breaks[--s->n_breaks];
	return s->t->ops->del_break(s->t->self, kind, addr, len);
}

void break_remove_all(struct session *s)
{
	while (s->n_breaks) {
		struct session_break b = s->breaks[--s->n_breaks];

		s->t->ops->del_break(s->t->self, b.kind, b.addr, b.len);
	}
}
