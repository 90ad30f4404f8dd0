/* What addresses taught, kept for a session's life; and from one replay to the next in a file (trace-fmt/learned.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/err.h"
#include "common/log.h"
#include "replayer/site_int.h"
#include "trace-fmt/learned.h"

#define NOTES LEARNED_MAX
#define SLOWNESS_KNOWN_MAX 1024   /* that a file may tell: it makes leaps patient */

struct site_book {
	unsigned refs;
	struct site_note note[NOTES];
	struct maps maps;
	const struct host *maps_of;
	pid_t maps_pid;
	uint64_t maps_gen;
	uint64_t copy_ns;
	uint16_t long_slowness;
	char *path;                    /* of the side file; NULL: what is learned is not to be kept */
	uint64_t trace_id;
	struct learned_note known[LEARNED_MAX];   /* what the side file held, place by place */
};

struct site_book *site_book_new(void)
{
	struct site_book *b = calloc(1, sizeof(*b));

	if (b)
		b->refs = 1;
	return b;
}

struct site_book *site_book_get(struct site_book *b)
{
	if (b)
		b->refs++;
	return b;
}

/* ---- from one replay to the next ---- */

static unsigned place_of(uint64_t addr)
{
	return (unsigned)(addr * 0x9e3779b97f4a7c15ull >> 54);
}

static void note_from_file(struct site_note *n, const struct learned_note *from)
{
	*n = (struct site_note){ .addr = from->addr, .rest = from->rest, .least_rest = from->least_rest, .n_tests = from->n_tests };
	n->slowness = from->slowness < SLOWNESS_KNOWN_MAX ? from->slowness : SLOWNESS_KNOWN_MAX;
	memcpy(n->test, from->test, sizeof(n->test));
}

static struct learned_note note_to_file(const struct site_note *n)
{
	struct learned_note to = { .addr = n->addr, .rest = n->rest, .least_rest = n->least_rest, .n_tests = n->n_tests };

	to.slowness = n->slowness;
	memcpy(to.test, n->test, n->n_tests * sizeof(n->test[0]));
	return to;
}

static bool says_something(const struct site_note *n)
{
	return n->n_tests || n->rest || n->slowness;
}

/* How slow a place is, and how long its leaps are, is measured anew each time; only that it was is news. */
static bool is_news(const struct learned_note *now, const struct learned_note *before)
{
	return now->addr != before->addr || !now->slowness != !before->slowness || !now->rest != !before->rest ||
	       now->n_tests != before->n_tests || memcmp(now->test, before->test, sizeof(now->test)) != 0;
}

static void book_write(const struct site_book *b)
{
	struct learned_note *v = malloc(sizeof(b->known));
	bool news = false;
	size_t n = 0;
	int err;

	if (!v)
		return;
	for (size_t i = 0; i < NOTES; i++) {
		if (!says_something(&b->note[i]))
			continue;
		v[n] = note_to_file(&b->note[i]);
		news |= is_news(&v[n++], &b->known[i]);
	}
	err = news ? learned_write(b->path, b->trace_id, v, n) : 0;
	if (err)
		log_debug("%s was not written: error %d", b->path, -err);
	free(v);
}

struct site_book *site_book_open(const char *path, uint64_t id)
{
	struct site_book *b = site_book_new();
	struct learned_note *v = malloc(sizeof(b->known));
	size_t n;
	int err;

	if (!b || !v) {
		free(v);
		return b;
	}
	err = learned_read(path, id, v, &n);
	for (size_t i = 0; i < n; i++) {
		unsigned at = place_of(v[i].addr);

		b->known[at] = v[i];
		note_from_file(&b->note[at], &v[i]);
	}
	free(v);
	log_debug("%s: %zu notes (error %d)", path, n, -err);
	b->trace_id = id;
	/* What is not ours, or is a later version's, stays as it is. */
	if (err != -EEXIST && err != -RL_EVERSION)
		b->path = strdup(path);
	return b;
}

void site_book_put(struct site_book *b)
{
	if (!b || --b->refs)
		return;
	if (b->path)
		book_write(b);
	maps_free(&b->maps);
	free(b->path);
	free(b);
}

/* ---- notes ---- */

/* Notes may be lost to another address's; they only save time. */
struct site_note *site_book_at(struct site_book *b, uint64_t addr)
{
	struct site_note *n = &b->note[place_of(addr)];

	if (n->addr != addr)
		*n = (struct site_note){ .addr = addr };
	return n;
}

struct site_note *site_book_note(struct sites *ss, uint64_t addr)
{
	return site_book_at(ss->s->book, addr);
}

uint64_t *site_book_copy_ns(struct site_book *b)
{
	return &b->copy_ns;
}

uint16_t *site_book_long_slowness(struct site_book *b)
{
	return &b->long_slowness;
}

int site_book_maps(struct sites *ss, const struct maps **ret)
{
	struct site_book *b = ss->s->book;
	const struct host *h = ss->t->host;
	int err;

	if (!b->maps.v || b->maps_of != h || b->maps_pid != h->pid || b->maps_gen != ss->s->as_gen) {
		maps_free(&b->maps);
		memset(&b->maps, 0, sizeof(b->maps));
		err = maps_read(h->pid, &b->maps);
		if (err)
			return err;
		b->maps_of = h;
		b->maps_pid = h->pid;
		b->maps_gen = ss->s->as_gen;
	}
	*ret = &b->maps;
	return 0;
}
