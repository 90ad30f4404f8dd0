#include "trace-fmt/packer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>
#include "common/fault.h"
#include "trace-fmt/packcache.h"
#include "common/banned.h"

#define ZSTD_LEVEL 1             /* some 400 MB/s of code; the faster ones save a tenth of that and cost a tenth of size */
#define JOBS_MAX 1024u
#define WAITING_MAX (16u << 20)  /* bytes of contents under way: what a killed recorder may lose, some 40 ms of packing */
#define SPARES 16
#define SPARE_MAX (1u << 20)
#define STACK_BYTES (256u << 10)
#define CACHE_MAX (UINT64_C(1024) << 20)

struct job {
	struct chunk_hdr h;
	struct buf raw, out;      /* out: as it goes to the file */
	bool again;               /* the same contents may come again, in other traces: */
	XXH128_hash_t contents;   /* their hash */
	bool kept;                /* they did: raw is empty, and the file has them */
	struct pack_source from;
	bool packed;
	int err;                  /* of packing */
};

struct packer {
	int fd;
	pthread_t thread;
	bool threaded, stop;
	ZSTD_CCtx *zstd;          /* of whoever calls, */
	ZSTD_CCtx *thread_zstd;   /* and of the thread */
	struct packcache *cache;  /* NULL: none */

	pthread_mutex_t lock;     /* of all that follows */
	pthread_cond_t work;      /* the thread has something to do */
	pthread_cond_t progress;  /* a chunk was written */
	struct job jobs[JOBS_MAX];
	uint64_t put, taken, written;   /* so many jobs were; number n is in slot n % JOBS_MAX */
	size_t waiting;           /* work that was put and is not written, as bytes of contents to be compressed */
	bool writing;             /* somebody writes: one at a time */
	int err;                  /* the first one; latched */
	struct buf spare[SPARES];
	unsigned n_spare;
	uint64_t offset;          /* end of the last complete chunk */
	uint64_t kept;            /* raw bytes of chunks that readers keep in memory */
	struct buf index;
	uint32_t n_chunks;
};

static struct buf take_spare(struct packer *p)
{
	return p->n_spare ? p->spare[--p->n_spare] : (struct buf){ 0 };
}

static void give_spare(struct packer *p, struct buf *b)
{
	if (p->n_spare < SPARES && b->cap <= SPARE_MAX) {
		buf_clear(b);
		p->spare[p->n_spare++] = *b;
		*b = (struct buf){ 0 };
	} else {
		buf_free(b);
	}
}

/* ---- one chunk, without the lock ---- */

/* Compress behind the header's place; fall back to plain bytes. */
static int compress(struct job *j, ZSTD_CCtx *zstd)
{
	size_t bound = ZSTD_compressBound(j->h.raw), got;
	uint8_t *to;

	if (buf_reserve(&j->out, CHUNK_HDR_BYTES + bound))
		return -ENOMEM;
	to = j->out.p + CHUNK_HDR_BYTES;
	j->h.packing = PACK_NONE;
	j->h.stored = j->h.raw;
	got = j->h.type == CH_END ? bound : ZSTD_compressCCtx(zstd, to, bound, j->raw.p, j->h.raw, ZSTD_LEVEL);
	if (!ZSTD_isError(got) && got < j->h.raw) {
		j->h.packing = PACK_ZSTD;
		j->h.stored = (uint32_t)got;
	} else if (j->h.raw) {
		memcpy(to, j->raw.p, j->h.raw);
	}
	j->h.payload_hash = XXH3_64bits(to, j->h.stored);
	j->out.n = CHUNK_HDR_BYTES + (size_t)j->h.stored;
	return 0;
}

/* The contents that were to be in the cache. */
static int read_again(struct job *j)
{
	uint8_t *to = buf_add(&j->raw, j->h.raw);

	if (!to)
		return -ENOMEM;
	for (uint64_t left = j->from.mask; left; left &= left - 1) {
		uint64_t index = j->from.index + (uint64_t)__builtin_ctzll(left);
		ssize_t n = pread(j->from.fd, to, TRACE_PAGE, (off_t)(index * TRACE_PAGE));

		if (n < 0)
			return -errno;
		memset(to + n, 0, TRACE_PAGE - (size_t)n);
		to += TRACE_PAGE;
	}
	return XXH128_isEqual(XXH3_128bits(j->raw.p, j->raw.n), j->contents) ? 0 : -ESTALE;
}

static int pack(struct job *j, ZSTD_CCtx *zstd, struct packcache *cache)
{
	bool keep = cache && j->again, cached = keep && packcache_get(cache, j->contents, &j->h, &j->out);
	int err = 0;

	if (!cached && j->kept)
		err = read_again(j);
	if (!cached && !err)
		err = compress(j, zstd);
	if (err)
		return err;
	if (keep && !cached)
		packcache_put(cache, j->contents, &j->h, &j->out);
	chunk_hdr_encode(&j->h, j->out.p);
	return 0;
}

static int write_all(int fd, const uint8_t *at, size_t n)
{
	while (n) {
		ssize_t got = FAULT("trace-write") ? -1 : write(fd, at, n);

		if (got < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		at += got;
		n -= (size_t)got;
	}
	return 0;
}

static int write_chunk(const struct packer *p, const struct job *j)
{
	int err = j->err;

	if (!err && chunk_is_kept(j->h.type) && p->kept + j->h.raw > KEPT_SLACK + KEPT_RATIO * p->offset)
		err = -EFBIG;
	if (err)
		return err;
	err = write_all(p->fd, j->out.p, j->out.n);
	/* Best effort: readers stop at the incomplete chunk anyhow. */
	if (err && ftruncate(p->fd, (off_t)p->offset)) {}
	return err;
}

/* ---- the queue, with the lock ---- */

#define KEPT_IS_EASIER 8   /* than compressing */

static size_t effort(const struct job *j)
{
	return j->kept ? j->h.raw / KEPT_IS_EASIER : j->h.raw;
}

static void note_written(struct packer *p, const struct chunk_hdr *h)
{
	p->offset += CHUNK_HDR_BYTES + h->stored;
	p->kept += chunk_is_kept(h->type) ? h->raw : 0;
	buf_u8(&p->index, h->type);
	buf_u8(&p->index, h->packing);
	buf_varint(&p->index, h->stored);
	buf_varint(&p->index, h->raw);
	buf_varint(&p->index, h->count);
	buf_varint(&p->index, h->first);
	buf_u64(&p->index, h->payload_hash);
	p->n_chunks++;
}

/* Write what is packed, as far as the order allows, unless somebody is at it. */
static void write_packed(struct packer *p)
{
	while (!p->writing && p->written < p->taken && p->jobs[p->written % JOBS_MAX].packed) {
		struct job *j = &p->jobs[p->written % JOBS_MAX];
		int err = p->err;

		p->writing = true;
		if (!err) {
			pthread_mutex_unlock(&p->lock);
			err = write_chunk(p, j);
			pthread_mutex_lock(&p->lock);
		}
		p->writing = false;
		if (!err)
			note_written(p, &j->h);
		if (!p->err)
			p->err = err;
		p->waiting -= effort(j);
		give_spare(p, &j->raw);
		give_spare(p, &j->out);
		p->written++;
		pthread_cond_broadcast(&p->progress);
	}
}

/* Take the next job, which there must be, and do it. */
static void work(struct packer *p, ZSTD_CCtx *zstd)
{
	struct job *j = &p->jobs[p->taken++ % JOBS_MAX];
	bool in_vain = p->err;

	j->out = take_spare(p);
	pthread_mutex_unlock(&p->lock);
	j->err = in_vain ? 0 : pack(j, zstd, p->cache);
	pthread_mutex_lock(&p->lock);
	j->packed = true;
	write_packed(p);
}

/* Let the queue get on: by packing, if something waits for that, else by waiting for others. */
static void help(struct packer *p)
{
	if (p->taken < p->put)
		work(p, p->zstd);
	else
		pthread_cond_wait(&p->progress, &p->lock);
}

static void *thread_main(void *arg)
{
	struct packer *p = arg;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (p->taken == p->put && !p->stop)
			pthread_cond_wait(&p->work, &p->lock);
		if (p->taken == p->put)
			break;
		work(p, p->thread_zstd);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* ---- what the writer calls ---- */

static void packer_free(struct packer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	for (unsigned i = 0; i < p->n_spare; i++)
		buf_free(&p->spare[i]);
	buf_free(&p->index);
	packcache_close(p->cache, CACHE_MAX);
	ZSTD_freeCCtx(p->zstd);
	ZSTD_freeCCtx(p->thread_zstd);
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->progress);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

int packer_open(int fd, uint64_t offset, struct packer **ret_p)
{
	struct packer *p = calloc(1, sizeof(*p));

	if (!p) {
		close(fd);
		return -ENOMEM;
	}
	p->fd = fd;
	p->offset = offset;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->progress, NULL);
	p->zstd = ZSTD_createCCtx();
	if (!p->zstd) {
		packer_free(p);
		return -ENOMEM;
	}
	*ret_p = p;
	return 0;
}

static int start_thread(struct packer *p, const cpu_set_t *cpus)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int err = pthread_attr_init(&attr);

	if (err)
		return -err;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	err = pthread_attr_setstacksize(&attr, STACK_BYTES);
	if (!err)
		err = pthread_attr_setaffinity_np(&attr, sizeof(*cpus), cpus);
	if (!err)
		err = pthread_create(&p->thread, &attr, thread_main, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -err;
}

int packer_thread(struct packer *p, const cpu_set_t *cpus)
{
	int err;

	if (p->threaded)
		return -EALREADY;
	p->thread_zstd = ZSTD_createCCtx();
	err = p->thread_zstd ? start_thread(p, cpus) : -ENOMEM;
	if (err) {
		ZSTD_freeCCtx(p->thread_zstd);
		p->thread_zstd = NULL;
	}
	p->threaded = !err;
	return err;
}

void packer_cache(struct packer *p, const char *home)
{
	if (!p->cache)
		p->cache = packcache_open(home);
}

static bool is_full(const struct packer *p, size_t more)
{
	return p->put - p->written == JOBS_MAX || (p->waiting && p->waiting + more > WAITING_MAX);
}

/* @raw becomes another buffer, if the job is taken. */
static int put_job(struct packer *p, const struct job *job, struct buf *raw)
{
	int err;

	pthread_mutex_lock(&p->lock);
	while (!p->err && is_full(p, effort(job)))
		help(p);
	if (!p->err) {
		p->jobs[p->put++ % JOBS_MAX] = *job;
		p->waiting += effort(job);
		if (raw)
			*raw = take_spare(p);
	}
	if (p->threaded)
		pthread_cond_signal(&p->work);
	else
		while (p->written < p->put)
			help(p);
	err = p->err;
	pthread_mutex_unlock(&p->lock);
	return err;
}

int packer_put(struct packer *p, const struct chunk_hdr *h, struct buf *raw, const XXH128_hash_t *again)
{
	struct job j = { .h = *h, .raw = *raw, .again = again };

	if (raw->n > CHUNK_RAW_MAX)
		return -E2BIG;
	j.h.raw = (uint32_t)raw->n;
	if (again)
		j.contents = *again;
	return put_job(p, &j, raw);
}

int packer_put_kept(struct packer *p, const struct chunk_hdr *h, XXH128_hash_t contents, const struct pack_source *from)
{
	struct job j = { .h = *h, .again = true, .contents = contents, .kept = true, .from = *from };

	j.h.raw = h->count * TRACE_PAGE;
	return put_job(p, &j, NULL);
}

bool packer_has(struct packer *p, XXH128_hash_t contents)
{
	return p->cache && packcache_has(p->cache, contents);
}

struct packcache *packer_cache_of(struct packer *p)
{
	return p->cache;
}

int packer_drain(struct packer *p)
{
	int err;

	pthread_mutex_lock(&p->lock);
	while (p->written < p->put)
		help(p);
	err = p->err;
	pthread_mutex_unlock(&p->lock);
	return err;
}

uint64_t packer_offset(struct packer *p)
{
	return p->offset;
}

struct buf *packer_index(struct packer *p, uint32_t *ret_n_chunks)
{
	*ret_n_chunks = p->n_chunks;
	return &p->index;
}

int packer_close(struct packer *p)
{
	int err = packer_drain(p);

	if (p->threaded) {
		pthread_mutex_lock(&p->lock);
		p->stop = true;
		pthread_cond_signal(&p->work);
		pthread_mutex_unlock(&p->lock);
		pthread_join(p->thread, NULL);
	}
	if (close(p->fd) && !err)
		err = -errno;
	p->fd = -1;
	packer_free(p);
	return err;
}
