#include "tracee/sysfmt.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/ioctl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tracee/sysfmt_names.h"
#include "tracee/sysinfo_nr.h"
#include "tracee/sysioctl.h"
#include "tracee/sysout.h"

#define STRING_MAX 48          /* bytes shown of a string or buffer */
#define ITEMS_MAX 4            /* elements shown of an array */

/* A bounded text. What does not fit is dropped. */
struct text {
	char *s;
	size_t n, max;             /* n < max, or both 0 */
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (t->n + 1 >= t->max)
		return;
	va_start(ap, fmt);
	n = vsnprintf(t->s + t->n, t->max - t->n, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->n += (size_t)n < t->max - t->n ? (size_t)n : t->max - t->n - 1;
}

static void put_addr(struct text *t, uint64_t v)
{
	if (v)
		put(t, "0x%llx", (unsigned long long)v);
	else
		put(t, "NULL");
}

static void put_byte(struct text *t, unsigned char b)
{
	switch (b) {
	case '"':
	case '\\':
		put(t, "\\%c", b);
		break;
	case '\n':
		put(t, "\\n");
		break;
	case '\t':
		put(t, "\\t");
		break;
	case '\r':
		put(t, "\\r");
		break;
	default:
		put(t, b >= 32 && b < 127 ? "%c" : "\\x%02x", b);
	}
}

static void put_quoted(struct text *t, const unsigned char *b, size_t n, bool more)
{
	put(t, "\"");
	for (size_t i = 0; i < n; i++)
		put_byte(t, b[i]);
	put(t, more ? "\"..." : "\"");
}

static bool get(const struct sys_mem *m, uint64_t addr, void *out, size_t n)
{
	return m && addr && !m->read(m->ctx, addr, out, n);
}

static void put_buffer(struct text *t, const struct sys_mem *m, uint64_t addr, uint64_t n)
{
	unsigned char b[STRING_MAX];
	size_t shown = n < sizeof(b) ? n : sizeof(b);

	if (get(m, addr, b, shown))
		put_quoted(t, b, shown, n > shown);
	else
		put_addr(t, addr);
}

/* Byte by byte: the string may end just before unmapped memory. */
static void put_string(struct text *t, const struct sys_mem *m, uint64_t addr)
{
	unsigned char b[STRING_MAX];
	size_t n = 0;

	for (; n < sizeof(b); n++) {
		if (!get(m, addr + n, &b[n], 1)) {
			put_addr(t, addr);
			return;
		}
		if (!b[n])
			break;
	}
	put_quoted(t, b, n, n == sizeof(b));
}

static void put_strings(struct text *t, const struct sys_mem *m, uint64_t addr)
{
	uint64_t p;

	if (!get(m, addr, &p, 8)) {
		put_addr(t, addr);
		return;
	}
	put(t, "[");
	for (int i = 0; i < ITEMS_MAX * 2 && p; i++) {
		put(t, i ? ", " : "");
		put_string(t, m, p);
		if (!get(m, addr + 8 * (uint64_t)(i + 1), &p, 8))
			p = 0;
	}
	put(t, p ? ", ...]" : "]");
}

/* Names of the bits of v, from 0 of which `zero` is the name. */
static void put_flags(struct text *t, const struct sysfmt_name *list, uint64_t v, const char *zero)
{
	const char *bar = "";

	if (!v && zero) {
		put(t, "%s", zero);
		return;
	}
	for (; list->name && v; list++)
		if (list->value && (v & list->value) == list->value) {
			put(t, "%s%s", bar, list->name);
			v &= ~list->value;
			bar = "|";
		}
	if (v || !*bar)
		put(t, "%s0x%llx", bar, (unsigned long long)v);
}

static void put_name(struct text *t, const struct sysfmt_name *list, uint64_t v)
{
	const char *name = sysfmt_lookup(list, v);

	if (name)
		put(t, "%s", name);
	else
		put(t, "0x%llx", (unsigned long long)v);
}

static void put_open_flags(struct text *t, uint64_t v)
{
	if ((v & O_ACCMODE) == O_RDONLY && !(v & O_PATH)) {
		put(t, "O_RDONLY");
		if (!v)
			return;
		put(t, "|");
	}
	put_flags(t, sysfmt_open_flags, v, "0");
}

static void put_signal(struct text *t, int signo)
{
	const char *name = sys_signal_name(signo);

	if (name)
		put(t, "%s", name);
	else
		put(t, "%d", signo);
}

/* The set as a list, or its complement when that is shorter. */
static void put_sigset(struct text *t, const struct sys_mem *m, uint64_t addr)
{
	uint64_t set;
	const char *space = "";

	if (!get(m, addr, &set, 8)) {
		put_addr(t, addr);
		return;
	}
	if (__builtin_popcountll(set) > 32) {
		put(t, "~");
		set = ~set;
	}
	put(t, "[");
	for (int i = 0; i < 64; i++)
		if (set >> i & 1) {
			const char *name = sys_signal_name(i + 1);

			put(t, "%s%s", space, strncmp(name, "SIG", 3) ? name : name + 3);
			space = " ";
		}
	put(t, "]");
}

static void put_sigaction(struct text *t, const struct sys_mem *m, uint64_t addr)
{
	uint64_t v[2];

	if (!get(m, addr, v, sizeof(v))) {
		put_addr(t, addr);
		return;
	}
	put(t, "{");
	if (v[0] <= 1)
		put(t, v[0] ? "SIG_IGN" : "SIG_DFL");
	else
		put_addr(t, v[0]);
	put(t, ", ");
	put_flags(t, sysfmt_sa_flags, v[1], "0");
	put(t, ", ");
	put_sigset(t, m, addr + 24);
	put(t, "}");
}

static void put_time(struct text *t, const struct sys_mem *m, uint64_t addr, const char *unit)
{
	int64_t v[2];

	if (get(m, addr, v, sizeof(v)))
		put(t, "{%lld, %lld%s}", (long long)v[0], (long long)v[1], unit);
	else
		put_addr(t, addr);
}

static void put_iov(struct text *t, const struct sys_mem *m, uint64_t addr, uint64_t n)
{
	uint64_t v[2];

	if (!get(m, addr, v, sizeof(v))) {
		put_addr(t, addr);
		return;
	}
	put(t, "[");
	for (uint64_t i = 0; i < n && i < ITEMS_MAX; i++) {
		if (!get(m, addr + i * K_IOVEC, v, sizeof(v)))
			break;
		put(t, "%s{0x%llx, %llu}", i ? ", " : "", (unsigned long long)v[0], (unsigned long long)v[1]);
	}
	put(t, n > ITEMS_MAX ? ", ...]" : "]");
}

static void put_pollfds(struct text *t, const struct sys_mem *m, uint64_t addr, uint64_t n, bool done)
{
	struct { int32_t fd; uint16_t events, revents; } p;

	if (!get(m, addr, &p, sizeof(p))) {
		put_addr(t, addr);
		return;
	}
	put(t, "[");
	for (uint64_t i = 0; i < n && i < ITEMS_MAX; i++) {
		if (!get(m, addr + i * K_POLLFD, &p, sizeof(p)))
			break;
		put(t, "%s{%d, ", i ? ", " : "", p.fd);
		put_flags(t, sysfmt_poll_events, p.events, "0");
		if (done && p.revents) {
			put(t, " => ");
			put_flags(t, sysfmt_poll_events, p.revents, "0");
		}
		put(t, "}");
	}
	put(t, n > ITEMS_MAX ? ", ...]" : "]");
}

static void put_epoll_event(struct text *t, const struct sys_mem *m, uint64_t addr)
{
	struct { uint32_t events; uint64_t data; } __attribute__((packed)) e;

	if (!get(m, addr, &e, sizeof(e))) {
		put_addr(t, addr);
		return;
	}
	put(t, "{");
	put_flags(t, sysfmt_epoll_events, e.events, "0");
	put(t, ", 0x%llx}", (unsigned long long)e.data);
}

static void put_unix(struct text *t, const char *path, uint64_t n)
{
	bool abstract = n > 0 && !path[0];
	uint64_t from = abstract ? 1 : 0;

	put(t, "{AF_UNIX, %s", abstract ? "@" : "");
	put_quoted(t, (const unsigned char *)path + from, abstract ? n - 1 : strnlen(path, n), false);
	put(t, "}");
}

static void put_sockaddr(struct text *t, const struct sys_mem *m, uint64_t addr, uint64_t len)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	} a = { 0 };
	char host[INET6_ADDRSTRLEN];

	if (len > sizeof(a))
		len = sizeof(a);
	if (len < 2 || !get(m, addr, &a, len)) {
		put_addr(t, addr);
		return;
	}
	switch (a.any.sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &a.in.sin_addr, host, sizeof(host));
		put(t, "{AF_INET, %s:%u}", host, ntohs(a.in.sin_port));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &a.in6.sin6_addr, host, sizeof(host));
		put(t, "{AF_INET6, [%s]:%u}", host, ntohs(a.in6.sin6_port));
		break;
	case AF_UNIX:
		put_unix(t, a.un.sun_path, len - 2);
		break;
	default:
		put(t, "{");
		put_name(t, sysfmt_families, a.any.sa_family);
		put(t, ", ...}");
	}
}

static void put_wait_status(struct text *t, const struct sys_mem *m, uint64_t addr)
{
	int status;

	if (!get(m, addr, &status, sizeof(status))) {
		put_addr(t, addr);
	} else if (WIFEXITED(status)) {
		put(t, "[exit %d]", WEXITSTATUS(status));
	} else if (WIFCONTINUED(status)) {
		put(t, "[continued]");
	} else {
		put(t, WIFSTOPPED(status) ? "[stopped " : "[killed ");
		put_signal(t, WIFSTOPPED(status) ? WSTOPSIG(status) : WTERMSIG(status));
		put(t, "]");
	}
}

static void put_fds(struct text *t, const struct sys_mem *m, uint64_t addr)
{
	int fd[2];

	if (get(m, addr, fd, sizeof(fd)))
		put(t, "[%d, %d]", fd[0], fd[1]);
	else
		put_addr(t, addr);
}

static void put_futex_op(struct text *t, uint64_t op)
{
	put_name(t, sysfmt_futex_ops, op & FUTEX_CMD_MASK);
	if (op & FUTEX_PRIVATE_FLAG)
		put(t, "|FUTEX_PRIVATE_FLAG");
	if (op & FUTEX_CLOCK_REALTIME)
		put(t, "|FUTEX_CLOCK_REALTIME");
}

static void put_sock_type(struct text *t, uint64_t v)
{
	put_name(t, sysfmt_sock_types, v & 0xf);
	if (v & ~UINT64_C(0xf)) {
		put(t, "|");
		put_flags(t, (const struct sysfmt_name[]){ { SOCK_CLOEXEC, "SOCK_CLOEXEC" },
							   { SOCK_NONBLOCK, "SOCK_NONBLOCK" },
							   { 0, NULL } }, v & ~UINT64_C(0xf), "0");
	}
}

static void put_ioctl(struct text *t, uint32_t request)
{
	const char *name = sysioctl_name(request);

	if (name)
		put(t, "%s", name);
	else if (_IOC_DIR(request))
		put(t, "_IOC(%s%s, 0x%x, 0x%x, 0x%x)", _IOC_DIR(request) & _IOC_READ ? "R" : "",
		    _IOC_DIR(request) & _IOC_WRITE ? "W" : "", _IOC_TYPE(request), _IOC_NR(request),
		    _IOC_SIZE(request));
	else
		put(t, "0x%x", request);
}

static void put_clone_flags(struct text *t, uint64_t v)
{
	put_flags(t, sysfmt_clone_flags, v & ~UINT64_C(0xff), (v & 0xff) ? NULL : "0");
	if (v & 0xff) {
		put(t, "|");
		put_signal(t, v & 0xff);
	}
}

/* What the call was given and what it gave: `done` only after it. */
struct call_text {
	const struct sys_call *c;
	const struct sys_mem *m;
	bool done, failed;
};

static void put_numeric(struct text *t, char letter, uint64_t v)
{
	switch (letter) {
	case 'a':
		if ((int)v == AT_FDCWD) {
			put(t, "AT_FDCWD");
			break;
		}
		/* fall through */
	case 'f':
	case 'i':
		put(t, "%d", (int)v);
		break;
	case 'l':
		put(t, "%lld", (long long)v);
		break;
	case 'u':
		put(t, "%llu", (unsigned long long)v);
		break;
	case 'o':
		put(t, "0%o", (unsigned)v);
		break;
	case 'p':
		put_addr(t, v);
		break;
	default:
		put(t, "0x%llx", (unsigned long long)v);
	}
}

/* Arguments that are names of constants. False: the letter is none of these. */
static bool put_constant(struct text *t, char letter, uint64_t v)
{
	uint32_t w = (uint32_t)v;

	switch (letter) {
	case 'O': put_open_flags(t, w); return true;
	case 'N': put_flags(t, sysfmt_open_flags, w, "0"); return true;
	case 'P': put_flags(t, sysfmt_prot, v, "PROT_NONE"); return true;
	case 'M': put_flags(t, sysfmt_mmap_flags, v, "0"); return true;
	case 'R': put_flags(t, sysfmt_mremap_flags, v, "0"); return true;
	case 'C': put_clone_flags(t, v); return true;
	case 'G': put_flags(t, sysfmt_at_flags, w, "0"); return true;
	case 'B': put_flags(t, sysfmt_wait_options, w, "0"); return true;
	case 'A': put_name(t, sysfmt_advice, w); return true;
	case 'm': put_name(t, sysfmt_sigmask_how, w); return true;
	case 'k': put_name(t, sysfmt_clocks, w); return true;
	case 'L': put_name(t, sysfmt_whence, w); return true;
	case 'D': put_name(t, sysfmt_families, w); return true;
	case 'c': put_name(t, sysfmt_fcntl_cmds, w); return true;
	case 'r': put_name(t, sysfmt_resources, w); return true;
	case 'Z': put_name(t, sysfmt_prctl_ops, w); return true;
	case 'z': put_name(t, sysfmt_arch_prctl_ops, w); return true;
	case 'Q': put_name(t, sysfmt_epoll_ops, w); return true;
	case 'Y': put_sock_type(t, w); return true;
	case 'F': put_futex_op(t, w); return true;
	case 'I': put_ioctl(t, w); return true;
	case 'g': put_signal(t, (int)w); return true;
	default: return false;
	}
}

/* Arguments that point to what the call wrote. */
static void put_written(struct text *t, const struct call_text *ct, char letter, int i)
{
	uint64_t v = ct->c->arg[i];

	if (!ct->done || ct->failed) {
		put_addr(t, v);
		return;
	}
	switch (letter) {
	case 'b':
		put_buffer(t, ct->m, v, (uint64_t)ct->c->ret < ct->c->arg[i + 1] ? (uint64_t)ct->c->ret
										 : ct->c->arg[i + 1]);
		break;
	case 'E':
		put_fds(t, ct->m, v);
		break;
	case 'T':
		put_time(t, ct->m, v, "");
		break;
	case 'W':
		if (ct->c->ret > 0)
			put_wait_status(t, ct->m, v);
		else
			put_addr(t, v);
		break;
	}
}

/* Arguments that point to what the call reads. False: the letter is none of these. */
static bool put_pointed(struct text *t, const struct call_text *ct, char letter, int i)
{
	uint64_t v = ct->c->arg[i];
	uint64_t next = i < 5 ? ct->c->arg[i + 1] : 0;

	switch (letter) {
	case 's': put_string(t, ct->m, v); return true;
	case 'y': put_strings(t, ct->m, v); return true;
	case 'w': put_buffer(t, ct->m, v, next); return true;
	case 'v': put_iov(t, ct->m, v, next); return true;
	case 'S': put_sigset(t, ct->m, v); return true;
	case 'H': put_sigaction(t, ct->m, v); return true;
	case 't': put_time(t, ct->m, v, ""); return true;
	case 'V': put_time(t, ct->m, v, ""); return true;
	case 'j': put_pollfds(t, ct->m, v, (uint32_t)next, ct->done); return true;
	case 'h': put_sockaddr(t, ct->m, v, (uint32_t)next); return true;
	case 'e': put_epoll_event(t, ct->m, v); return true;
	default: return false;
	}
}

/* open's mode is an argument only if a file may be made. */
static bool is_absent(const struct sys_call *c, int i)
{
	bool open = c->nr == __NR_open && i == 2;
	bool openat = c->nr == __NR_openat && i == 3;

	if (!open && !openat)
		return false;
	return !(c->arg[i - 1] & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)));
}

static void put_call(struct text *t, const struct call_text *ct)
{
	const struct sys_desc *d = sys_desc(ct->c->nr);
	const char *letters = d ? d->args : "xxxxxx";

	if (d)
		put(t, "%s(", d->name);
	else
		put(t, "syscall_%d(", ct->c->nr);
	for (int i = 0; letters[i]; i++) {
		char letter = letters[i];

		if (is_absent(ct->c, i))
			break;
		put(t, i ? ", " : "");
		if (strchr("bETW", letter))
			put_written(t, ct, letter, i);
		else if (!put_pointed(t, ct, letter, i) && !put_constant(t, letter, ct->c->arg[i]))
			put_numeric(t, letter, ct->c->arg[i]);
	}
	put(t, ")");
}

static void put_result(struct text *t, const struct sys_call *c)
{
	const struct sys_desc *d = sys_desc(c->nr);

	if (sys_failed(c->ret)) {
		int err = (int)-c->ret;
		const char *name = sys_errno_name(err);

		if (name && err >= K_ERESTARTSYS)
			put(t, "? %s", name);
		else if (name)
			put(t, "-1 %s (%s)", name, strerrordesc_np(err));
		else
			put(t, "-1 (error %d)", err);
	} else if (d && d->flags & SYSF_RET_ADDR) {
		put(t, "0x%llx", (unsigned long long)c->ret);
	} else {
		put(t, "%lld", (long long)c->ret);
	}
}

size_t sysfmt_result(const struct sys_call *c, char *out, size_t max)
{
	struct text t = { .s = out, .max = max };

	if (max)
		out[0] = '\0';
	put_result(&t, c);
	return t.n;
}

size_t sysfmt_enter(const struct sys_call *c, const struct sys_mem *m, char *out, size_t max)
{
	struct text t = { .s = out, .max = max };

	if (max)
		out[0] = '\0';
	put_call(&t, &(struct call_text){ .c = c, .m = m });
	return t.n;
}

size_t sysfmt_call(const struct sys_call *c, const struct sys_mem *m, char *out, size_t max)
{
	struct text t = { .s = out, .max = max };

	if (max)
		out[0] = '\0';
	put_call(&t, &(struct call_text){ .c = c, .m = m, .done = true, .failed = sys_failed(c->ret) });
	put(&t, " = ");
	put_result(&t, c);
	return t.n;
}
