#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/err.h"
#include "tracee/elfsym.h"
#include "tracee/insn_site.h"

/* Functions in this file's own code, never called: one of each kind, and bytes that only look like one. */
__asm__(".pushsection .text\n"
	".type site_cpuid,@function\nsite_cpuid:\n.cfi_startproc\nnop\nsite_cpuid_at: cpuid\nret\n.cfi_endproc\n"
	".size site_cpuid, . - site_cpuid\n"
	".type site_rand,@function\nsite_rand:\n.cfi_startproc\nrdrand %rax\nrdseed %r9d\nrdrand %bx\nrdpid %r12\nret\n.cfi_endproc\n"
	".size site_rand, . - site_rand\n"
	".type site_none,@function\nsite_none:\n.cfi_startproc\nmovl $0x90a20f, %eax\nret\n.cfi_endproc\n"
	".size site_none, . - site_none\n"
	"site_data: .byte 0x0f, 0xa2, 0x0f, 0xc7, 0xf0\nsite_data_end:\n"
	".popsection");
extern const uint8_t site_cpuid[], site_cpuid_at[], site_rand[], site_none[], site_data[], site_data_end[];

static struct insn_sites sites;

static int setup(void **state)
{
	int fd = open("/proc/self/exe", O_RDONLY);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(insn_sites_find(fd, &sites), 0);
	close(fd);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	insn_sites_free(&sites);
	assert_int_equal(sites.n, 0);
	return 0;
}

static int read_self(void *ctx, uint64_t off, void *out, size_t n)
{
	return pread(*(int *)ctx, out, n, (off_t)off) == (ssize_t)n ? 0 : -1;
}

/* How many sites lie in [from, to) of this program's memory. */
static size_t sites_within(const uint8_t *from, const uint8_t *to)
{
	static int fd;
	struct elfsym *e;
	uint64_t lo, hi;
	size_t n = 0;
	struct elf_symbol me;
	uint64_t bias;

	fd = open("/proc/self/exe", O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(elfsym_open(&(struct elf_source){ read_self, &fd, (uint64_t)lseek(fd, 0, SEEK_END) }, &e), 0);
	assert_int_equal(elfsym_find(e, "site_cpuid", &me), 0);
	bias = (uint64_t)(uintptr_t)site_cpuid - me.value;
	assert_int_equal(elfsym_offset_of(e, (uint64_t)(uintptr_t)from - bias, &lo), 0);
	assert_int_equal(elfsym_offset_of(e, (uint64_t)(uintptr_t)to - bias, &hi), 0);
	elfsym_close(e);
	close(fd);
	for (size_t i = 0; i < sites.n; i++)
		n += sites.v[i].off >= lo && sites.v[i].off < hi;
	return n;
}

static void test_finds_each_kind(void **state)
{
	(void)state;
	assert_int_equal(sites_within(site_cpuid_at, site_cpuid_at + 1), 1);
	assert_int_equal(sites_within(site_cpuid, site_rand), 1);
	assert_int_equal(sites_within(site_rand, site_none), 4);
}

static void test_leaves_alone_what_only_looks_like_one(void **state)
{
	(void)state;
	assert_int_equal(sites_within(site_none, site_data), 0);
	assert_int_equal(sites_within(site_data, site_data_end), 0);
	assert_true(sites.n_unsure >= 2);
}

static void test_refuses_what_is_no_program(void **state)
{
	struct insn_sites none;
	int fd = memfd_create("text", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, 8192), 0);
	assert_int_equal(insn_sites_find(fd, &none), -RL_EUNSUPPORTED);
	assert_int_equal(none.n, 0);
	close(fd);
}

static void decodes_as(const void *bytes, size_t n, uint32_t flag, unsigned len)
{
	struct insn in;

	assert_int_equal(insn_site_decode(bytes, n, 0x1000, &in), 0);
	assert_true(in.flags & flag);
	assert_int_equal(in.len, len);
}

static void test_a_site_tells_what_it_was(void **state)
{
	struct insn in;

	(void)state;
	decodes_as("\xf4\xa2\x90", 3, INSN_CPUID, 2);
	decodes_as("\xf4\xc7\xf0", 3, INSN_RDRAND, 3);
	decodes_as("\x48\xf4\xc7\xf0", 4, INSN_RDRAND, 4);
	decodes_as("\x41\xf4\xc7\xf9", 4, INSN_RDRAND, 4);
	decodes_as("\x66\xf4\xc7\xf3", 4, INSN_RDRAND, 4);
	decodes_as("\xf3\x41\xf4\xc7\xfc", 5, INSN_RDPID, 5);
	decodes_as("\xf4\xae\x64\x24\x40", 5, INSN_XSAVE, 5);
	decodes_as("\xf4\xc7\x64\x24\x40", 5, INSN_XSAVE, 5);
	decodes_as("\x48\xf4\xae\x37", 4, INSN_XSAVE, 4);
	assert_int_equal(insn_site_decode((const uint8_t *)"\xf4\xae\x07", 3, 0, &in), -RL_EUNSUPPORTED);   /* fxsave */
	assert_int_equal(insn_site_decode((const uint8_t *)"\xf4\xc3", 2, 0, &in), -RL_EUNSUPPORTED);
	assert_int_equal(insn_site_decode((const uint8_t *)"\x0f\xa2", 2, 0, &in), -RL_EUNSUPPORTED);
	assert_int_equal(insn_site_decode((const uint8_t *)"\xf4", 1, 0, &in), -RL_EUNSUPPORTED);
	assert_int_equal(insn_site_decode((const uint8_t *)"\x66\x66\x66", 3, 0, &in), -RL_EUNSUPPORTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds_each_kind),
		cmocka_unit_test(test_leaves_alone_what_only_looks_like_one),
		cmocka_unit_test(test_refuses_what_is_no_program),
		cmocka_unit_test(test_a_site_tells_what_it_was),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
