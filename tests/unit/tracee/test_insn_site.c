#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <elf.h>
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
	".type site_none,@function\nsite_none:\n.cfi_startproc\nmovl $0x90a20f, %eax\nmovl $0x90310f, %eax\nret\n.cfi_endproc\n"
	".size site_none, . - site_none\n"
	".type site_tsc,@function\nsite_tsc:\n.cfi_startproc\nrdtsc\nrdtscp\nret\n.cfi_endproc\n"
	".size site_tsc, . - site_tsc\n"
	".type site_rooms,@function\nsite_rooms:\n.cfi_startproc\n"
	"site_free: cpuid\n.fill 16, 1, 0x90\nsite_near: cpuid\n1: .fill 16, 1, 0x90\n.byte 0xeb, 1b - . - 1\n"
	"site_far: cpuid\n.fill 3, 1, 0x90\n2: .fill 12, 1, 0x90\nret\n.cfi_endproc\n.size site_rooms, . - site_rooms\n"
	".type site_jumps,@function\nsite_jumps:\n.cfi_startproc\n.byte 0xe9\n.long 2b - . - 4\n.cfi_endproc\n.size site_jumps, . - site_jumps\n"
	".type site_leads,@function\nsite_leads:\n.cfi_startproc\n"
	"movl $7, %eax\nsite_one: cpuid\nmovl %ecx, %eax\nxorl %ecx, %ecx\nmovb $1, %dl\nsite_few: cpuid\n"
	"movl $7, %eax\n3: xorl %ecx, %ecx\nsite_two: cpuid\nret\nnop\nmovl $7, %eax\nmovl $7, %eax\nsite_twice: cpuid\n"
	".fill 8, 1, 0x90\njmp 3b\njmp site_one\nxsavec (%rsp)\nxsavec64 (%rsp)\nret\n.cfi_endproc\n"
	".size site_leads, . - site_leads\n"
	"site_data: .byte 0x0f, 0xa2, 0x0f, 0xc7, 0xf0\nsite_data_end:\n"
	".popsection");
extern const uint8_t site_leads[], site_one[], site_few[], site_two[], site_twice[];
extern const uint8_t site_free[], site_near[], site_far[], site_rooms[];
extern const uint8_t site_cpuid[], site_cpuid_at[], site_rand[], site_none[], site_tsc[], site_data[], site_data_end[];

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

/* Where a byte of this program's code is in its file. */
static uint64_t file_offset(const uint8_t *at)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	struct elf_symbol me;
	struct elfsym *e;
	uint64_t off;

	assert_true(fd >= 0);
	assert_int_equal(elfsym_open(&(struct elf_source){ read_self, &fd, (uint64_t)lseek(fd, 0, SEEK_END) }, &e), 0);
	assert_int_equal(elfsym_find(e, "site_cpuid", &me), 0);
	assert_int_equal(elfsym_offset_of(e, me.value + (uint64_t)(at - site_cpuid), &off), 0);
	elfsym_close(e);
	close(fd);
	return off;
}

/* How many sites lie in [from, to) of this program's memory. */
static size_t sites_within(const uint8_t *from, const uint8_t *to)
{
	uint64_t lo = file_offset(from), hi = file_offset(to);
	size_t n = 0;

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
	assert_int_equal(sites_within(site_none, site_tsc), 0);
	assert_int_equal(sites_within(site_data, site_data_end), 0);
	assert_true(sites.n_unsure >= 2);
}

static void test_knows_all_places_of_rdtsc(void **state)
{
	size_t n = 0;

	(void)state;
	assert_int_equal(sites_within(site_tsc, site_rooms), 2);
	for (size_t i = 0; i < sites.n; i++)
		n += sites.v[i].is_tsc;
	assert_int_equal(n, 2);
	assert_false(sites.tsc_unsure);
	assert_true(sites.code_len > 0);
}

static struct insn_site site_of(const uint8_t *site)
{
	for (size_t i = 0; i < sites.n; i++) {
		if (sites.v[i].off == file_offset(site))
			return sites.v[i];
	}
	return (struct insn_site){ 0 };
}

static unsigned room_of(const uint8_t *site)
{
	return site_of(site).room;
}

static void test_knows_how_many_bytes_may_give_way(void **state)
{
	(void)state;
	assert_int_equal(room_of(site_free), 16);
	assert_int_equal(room_of(site_near), 2);
	assert_int_equal(room_of(site_far), 5);
}

static void test_knows_what_comes_before(void **state)
{
	(void)state;
	assert_int_equal(site_of(site_one).lead, 5);      /* a jump to the cpuid itself does no harm */
	assert_int_equal(site_of(site_few).lead, 6);      /* of three instructions */
	assert_int_equal(site_of(site_two).lead, 0);      /* a jump leads to the second of two */
	assert_int_equal(site_of(site_twice).lead, 5);    /* one is enough */
	assert_int_equal(site_of(site_free).lead, 0);     /* the function begins with it */
}

static void test_knows_xsave_and_prefixes(void **state)
{
	unsigned n = 0, prefixes = 0;
	uint64_t lo = file_offset(site_leads);

	(void)state;
	for (size_t i = 0; i < sites.n; i++) {
		if (!sites.v[i].is_xsave)
			continue;
		assert_true(sites.v[i].off > lo && sites.v[i].off < lo + 120 && !sites.v[i].is_cpuid);
		n++;
		prefixes += sites.v[i].prefixes;
	}
	assert_int_equal(n, 2);
	assert_int_equal(prefixes, 1);
}

/* This program again, with rdtsc's bytes where nothing tells whether they are code. */
static void test_says_when_rdtsc_may_be_elsewhere(void **state)
{
	static uint8_t bytes[4 << 20];
	int from = open("/proc/self/exe", O_RDONLY), to = memfd_create("copy", MFD_CLOEXEC);
	ssize_t n = read(from, bytes, sizeof(bytes));
	size_t len = (size_t)(site_data_end - site_data);
	struct insn_sites other;
	uint8_t *at;

	(void)state;
	assert_true(n > 0 && n < (ssize_t)sizeof(bytes));
	at = memmem(bytes, (size_t)n, site_data, len);
	assert_non_null(at);
	memcpy(at, "\x90\x0f\x31", 3);
	assert_int_equal(write(to, bytes, (size_t)n), n);
	assert_int_equal(insn_sites_find(to, &other), 0);
	assert_true(other.tsc_unsure);
	insn_sites_free(&other);
	close(from);
	close(to);
}

/* A program without tables: a kilobyte of code, in which one instruction's end and the next one's beginning are rdtsc's bytes. */
static bool unsure_of(size_t at, const void *other, size_t n)
{
	static const uint8_t usual[] = { 0x66, 0x0f, 0xfe, 0xc8, 0x48, 0x83, 0xc7, 0x10 }, looks[] = { 0x66, 0x0f, 0x7f, 0x0f, 0x31, 0xc0, 0xc3 };
	static uint8_t bytes[8192];
	Elf64_Ehdr head = { .e_type = ET_DYN, .e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_ehsize = sizeof(head), .e_phnum = 1,
			    .e_phoff = sizeof(head), .e_phentsize = sizeof(Elf64_Phdr) };
	Elf64_Phdr seg = { .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = 4096, .p_vaddr = 4096, .p_filesz = 2048, .p_memsz = 2048 };
	int fd = memfd_create("written", MFD_CLOEXEC);
	struct insn_sites found;
	bool unsure;

	memset(bytes, 0x90, sizeof(bytes));
	memcpy(head.e_ident, "\x7f" "ELF" "\2\1\1", 7);
	memcpy(bytes, &head, sizeof(head));
	memcpy(bytes + sizeof(head), &seg, sizeof(seg));
	for (size_t i = 0; i < 1024; i += sizeof(usual))
		memcpy(bytes + 4096 + i, usual, sizeof(usual));
	memcpy(bytes + 4096 + 1024, looks, sizeof(looks));
	memcpy(bytes + 4096 + at, other, n);
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	assert_int_equal(insn_sites_find(fd, &found), 0);
	assert_int_equal(found.n, 0);
	unsure = found.tsc_unsure;
	assert_int_equal(found.n_unsure, unsure);
	assert_true(found.clear_end == (at >= 2048 ? 4096 + at : UINT64_MAX));
	insn_sites_free(&found);
	close(fd);
	return unsure;
}

static void test_knows_what_is_part_of_another_instruction(void **state)
{
	(void)state;
	assert_false(unsure_of(0, "\x90", 1));
	assert_false(unsure_of(512, "\xc3", 1));               /* a function's end, far before */
	assert_true(unsure_of(1024 - 20, "\xc3\x90\x90\x90", 4));   /* near: what follows may be data */
	assert_true(unsure_of(800, "\0\0\0\0\0\0\0\0", 8));      /* data */
	assert_true(unsure_of(800, "abcdinsert", 10));
	assert_true(unsure_of(400, "\x0f\x04\x90\x90", 4) == false);   /* far enough */
	assert_true(unsure_of(0, "\0", 1) == false);
	assert_false(unsure_of(2048, "\x0f\x31", 2));   /* behind the code */
	assert_false(unsure_of(3000, "\x0f\x01\xf9", 3));
	assert_false(unsure_of(4094, "\x0f\x31", 2));
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
	decodes_as("\xf4\x31\x90", 3, INSN_RDTSC, 2);
	decodes_as("\xf4\x01\xf9", 3, INSN_RDTSCP, 3);
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
		cmocka_unit_test(test_knows_all_places_of_rdtsc),
		cmocka_unit_test(test_knows_how_many_bytes_may_give_way),
		cmocka_unit_test(test_knows_what_comes_before),
		cmocka_unit_test(test_knows_xsave_and_prefixes),
		cmocka_unit_test(test_says_when_rdtsc_may_be_elsewhere),
		cmocka_unit_test(test_knows_what_is_part_of_another_instruction),
		cmocka_unit_test(test_refuses_what_is_no_program),
		cmocka_unit_test(test_a_site_tells_what_it_was),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
