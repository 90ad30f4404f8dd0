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

int break_note_child(struct session *s, const struct session_break *b, bool insert)
{
	size_t at = 0;

	while (at < s->n_child_breaks && (s->child_breaks[at].kind != b->kind || s->child_breaks[at].addr != b->addr ||
					  s->child_breaks[at].len != b->len))
		at++;
	if (!insert && at < s->n_child_breaks)
		s->child_breaks[at] = s->child_breaks[--s->n_child_breaks];
	if (!insert || at < s->n_child_breaks)
		return 0;
	if (at == s->cap_child_breaks) {
		size_t cap = at ? 2 * at : 16;
		struct session_break *grown = cap > SESSION_BREAKS_MAX ? NULL : realloc(s->child_breaks, cap * sizeof(*grown));

		if (!grown)
			return cap > SESSION_BREAKS_MAX ? -E2BIG : -ENOMEM;
		s->child_breaks = grown;
		s->cap_child_breaks = cap;
	}
	s->child_breaks[s->n_child_breaks++] = *b;
	return 0;
}

void break_forget_child(struct session *s)
{
	s->n_child_breaks = 0;
}

void break_remove_all(struct session *s)
{
	while (s->n_breaks) {
		struct session_break b = s->breaks[--s->n_breaks];

		s->t->ops->del_break(s->t->self, b.kind, b.addr, b.len);
	}
}
