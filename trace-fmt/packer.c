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
#define JOBS_MAX 128u
#define WAITING_MAX (16u << 20)  /* bytes of contents under way: what a killed recorder may lose, some 40 ms of packing */
#define SPARES 16
#define SPARE_MAX (1u << 20)
#define STACK_BYTES (256u << 10)
#define CACHE_MAX (UINT64_C(512) << 20)

struct job {
	struct chunk_hdr h;
	struct buf raw, out;      /* out: as it goes to the file */
	bool again;               /* the same contents may come again, in other traces */
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
	size_t waiting;           /* bytes of contents that were put and are not written */
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

static int pack(struct job *j, ZSTD_CCtx *zstd, struct packcache *cache)
{
	XXH128_hash_t contents = { 0 };
	bool cached = cache && j->again;
	int err = 0;

	if (cached) {
		contents = XXH3_128bits(j->raw.p, j->raw.n);
		cached = packcache_get(cache, contents, &j->h, &j->out);
	}
	if (!cached)
		err = compress(j, zstd);
	if (err)
		return err;
	if (cache && j->again && !cached)
		packcache_put(cache, contents, &j->h, &j->out);
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
		p->waiting -= j->h.raw;
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

static void add_job(struct packer *p, const struct chunk_hdr *h, struct buf *raw, bool again)
{
	struct job *j = &p->jobs[p->put % JOBS_MAX];

	*j = (struct job){ .h = *h, .raw = *raw, .again = again };
	j->h.raw = (uint32_t)raw->n;
	p->waiting += raw->n;
	p->put++;
	*raw = take_spare(p);
}

int packer_put(struct packer *p, const struct chunk_hdr *h, struct buf *raw, bool again)
{
	int err;

	if (raw->n > CHUNK_RAW_MAX)
		return -E2BIG;
	pthread_mutex_lock(&p->lock);
	while (!p->err && is_full(p, raw->n))
		help(p);
	if (!p->err)
		add_job(p, h, raw, again);
	if (p->threaded)
		pthread_cond_signal(&p->work);
	else
		while (p->written < p->put)
			help(p);
	err = p->err;
	pthread_mutex_unlock(&p->lock);
	return err;
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
