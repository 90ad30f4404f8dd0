/*
 * Structures that tell where a call's outputs go, and that these outputs may overwrite: kept as they were before the call.
 * Of a message's header only what the kernel does not write itself.
 */
#include "recorder/internal.h"

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define OPTION_MAX 65536
#define MESSAGES_MAX 64   /* more at once are looked at as they are after the call */

static void keep(struct task *t, uint64_t addr, uint64_t len)
{
	size_t at = t->kept_bytes.n;
	uint8_t *bytes = len ? buf_add(&t->kept_bytes, (size_t)len) : NULL;

	if (!bytes)
		return;
	if (mem_read(t->mm->mem_fd, addr, bytes, (size_t)len))
		t->kept_bytes.n = at;
	else
		sys_ranges_add_from(&t->kept, addr, len, at);
}

static void keep_vector(struct task *t, uint64_t addr, uint64_t n)
{
	if (n <= UIO_MAXIOV)
		keep(t, addr, n * sizeof(struct iovec));
}

static void keep_message(struct task *t, uint64_t addr)
{
	struct msghdr h;

	if (mem_read(t->mm->mem_fd, addr, &h, sizeof(h)))
		return;
	keep(t, addr + offsetof(struct msghdr, msg_name), sizeof(h.msg_name));
	keep(t, addr + offsetof(struct msghdr, msg_iov), sizeof(h.msg_iov) + sizeof(h.msg_iovlen));
	keep(t, addr + offsetof(struct msghdr, msg_control), sizeof(h.msg_control));
	keep_vector(t, (uint64_t)h.msg_iov, h.msg_iovlen);
}

/* Only if the option may fall upon its length: else the length as it is after the call is the better one. */
static void keep_option_length(struct task *t, uint64_t option, uint64_t len_addr)
{
	uint32_t len;

	if (mem_read(t->mm->mem_fd, len_addr, &len, sizeof(len)) || len > OPTION_MAX)
		return;
	if (option < len_addr + sizeof(len) && option + len > len_addr)
		keep(t, len_addr, sizeof(len));
}

void keep_args(struct task *t)
{
	const uint64_t *arg = t->call.arg;

	sys_ranges_clear(&t->kept);
	buf_clear(&t->kept_bytes);
	switch (t->call.nr) {
	case SYS_readv:
	case SYS_preadv:
	case SYS_preadv2:
	case SYS_process_vm_readv:
		keep_vector(t, arg[1], arg[2]);
		break;
	case SYS_getsockopt:
		keep_option_length(t, arg[3], arg[4]);
		break;
	case SYS_recvmsg:
		keep_message(t, arg[1]);
		break;
	case SYS_recvmmsg:
		for (uint64_t i = 0; i < (uint32_t)arg[2] && i < MESSAGES_MAX; i++)
			keep_message(t, arg[1] + i * sizeof(struct mmsghdr));
		break;
	}
}

/* Memory as it is, but for what was kept. */
static int kept_read(void *ctx, uint64_t addr, void *out, size_t n)
{
	const struct task *t = ctx;
	int err = mem_read(t->mm->mem_fd, addr, out, n);

	for (size_t i = 0; !err && i < t->kept.n; i++) {
		const struct sys_range *k = &t->kept.v[i];
		uint64_t from = k->addr > addr ? k->addr : addr;
		uint64_t end = k->addr + k->len < addr + n ? k->addr + k->len : addr + n;

		if (from < end)
			memcpy((uint8_t *)out + (from - addr), t->kept_bytes.p + k->from + (from - k->addr), (size_t)(end - from));
	}
	return err;
}

struct sys_mem kept_memory(struct task *t)
{
	return (struct sys_mem){ .read = kept_read, .ctx = t };
}
