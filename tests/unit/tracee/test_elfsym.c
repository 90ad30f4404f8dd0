#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"
#include "tracee/elfsym.h"

int elfsym_test_global = 7;
__thread int elfsym_test_tls = 42;

static int elfsym_test_local(int x)
{
	return x + elfsym_test_global;
}

/* Called through here, the compiler can neither inline nor specialise it. */
static int (*volatile elfsym_test_call)(int) = elfsym_test_local;

static void *map_file(const char *path, size_t *ret_n)
{
	struct stat st;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	void *at = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	close(fd);
	*ret_n = (size_t)st.st_size;
	return at;
}

static uint64_t bias_of(const void *address)
{
	Dl_info info;

	assert_true(dladdr(address, &info));
	struct link_map *lm;

	assert_true(dladdr1(address, &info, (void **)&lm, RTLD_DL_LINKMAP));
	return lm->l_addr;
}

static void symbols_are_found_by_name_and_by_address(void **state)
{
	struct elf_symbol s;
	struct elfsym *e;
	size_t n;
	void *file = map_file("/proc/self/exe", &n);
	uint64_t bias = bias_of(&elfsym_test_global);

	(void)state;
	assert_int_equal(elfsym_test_call(1), 8);
	assert_int_equal(elfsym_open_memory(file, n, &e), 0);
	assert_int_equal(elfsym_find(e, "elfsym_test_global", &s), 0);
	assert_int_equal(s.value + bias, (uintptr_t)&elfsym_test_global);
	assert_int_equal(s.size, 4);
	assert_int_equal(s.type, STT_OBJECT);
	assert_int_equal(elfsym_find(e, "elfsym_test_local", &s), 0);
	assert_int_equal(s.bind, STB_LOCAL);
	assert_int_equal(elfsym_find_addr(e, s.value + 2, &s), 0);
	assert_string_equal(s.name, "elfsym_test_local");
	assert_int_equal(elfsym_find_addr(e, (uintptr_t)&elfsym_test_global + 3 - bias, &s), 0);
	assert_string_equal(s.name, "elfsym_test_global");
	assert_int_equal(elfsym_find(e, "no such symbol", &s), -ENOENT);
	assert_int_equal(elfsym_find(e, "", &s), -ENOENT);
	assert_int_equal(elfsym_find_addr(e, UINT64_MAX, &s), -ENOENT);
	elfsym_close(e);
	munmap(file, n);
}

static void initialised_data_is_read_by_address(void **state)
{
	struct elf_symbol s;
	struct elfsym *e;
	size_t n;
	void *file = map_file("/proc/self/exe", &n);
	int value = 0;
	uint64_t off, back;

	(void)state;
	assert_int_equal(elfsym_open_memory(file, n, &e), 0);
	assert_int_equal(elfsym_find(e, "elfsym_test_global", &s), 0);
	assert_int_equal(elfsym_read(e, s.value, &value, sizeof value), 0);
	assert_int_equal(value, 7);
	assert_int_equal(elfsym_offset_of(e, s.value, &off), 0);
	assert_int_equal(elfsym_addr_of(e, off, &back), 0);
	assert_int_equal(back, s.value);
	assert_int_equal(elfsym_read(e, 1ull << 62, &value, sizeof value), -EFAULT);
	elfsym_close(e);
	munmap(file, n);
}

static int find_build_id(struct dl_phdr_info *info, size_t size, void *want)
{
	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		const char *at = (const char *)(info->dlpi_addr + p->p_vaddr);

		if (p->p_type != PT_NOTE || info->dlpi_name[0])
			continue;
		for (size_t k = 0; k + 20 + 12 < p->p_memsz + 20; k += 4)
			if (*(const uint32_t *)(at + k) == 4 && *(const uint32_t *)(at + k + 8) == NT_GNU_BUILD_ID &&
			    memcmp(at + k + 12, "GNU", 4) == 0) {
				memcpy(want, at + k + 16, 20);
				return 1;
			}
	}
	return 0;
}

static void header_segments_and_build_id_are_those_of_the_file(void **state)
{
	uint8_t got[64], want[20];
	struct elfsym *e;
	size_t n, n_segments;
	void *file = map_file("/proc/self/exe", &n);

	(void)state;
	assert_true(elf_is(file, 64));
	assert_int_equal(elfsym_open_memory(file, n, &e), 0);
	assert_int_equal(elfsym_header(e)->e_entry + bias_of(&elfsym_test_global), getauxval(AT_ENTRY));
	assert_int_equal(elfsym_segments(e, &n_segments)[0].p_type, PT_PHDR);
	assert_int_equal(n_segments, getauxval(AT_PHNUM));
	if (dl_iterate_phdr(find_build_id, want)) {
		assert_int_equal(elfsym_build_id(e, got), 20);
		assert_memory_equal(got, want, 20);
	}
	elfsym_close(e);
	munmap(file, n);
}

static const char *libc_path(void)
{
	static char path[512];
	Dl_info info;

	assert_true(dladdr((void *)(uintptr_t)getpid, &info));
	assert_true(strlen(info.dli_fname) < sizeof path);
	memcpy(path, info.dli_fname, strlen(info.dli_fname) + 1);
	return path;
}

/* Take the section headers away: the dynamic segment must do. */
static void a_file_without_sections_has_its_dynamic_symbols(void **state)
{
	struct elf_symbol with, without;
	struct elfsym *e;
	size_t n;
	void *file = map_file(libc_path(), &n);

	(void)state;
	assert_int_equal(elfsym_open_memory(file, n, &e), 0);
	assert_int_equal(elfsym_find(e, "getpid", &with), 0);
	assert_int_equal(with.value + bias_of((void *)(uintptr_t)getpid), (uintptr_t)getpid);
	elfsym_close(e);
	((Elf64_Ehdr *)file)->e_shoff = 0;
	((Elf64_Ehdr *)file)->e_shnum = 0;
	assert_int_equal(elfsym_open_memory(file, n, &e), 0);
	assert_int_equal(elfsym_find(e, "getpid", &without), 0);
	assert_int_equal(with.value, without.value);
	assert_int_equal(elfsym_find(e, "pthread_mutex_lock", &without), 0);
	elfsym_close(e);
	munmap(file, n);
}

static int read_self(void *ctx, uint64_t addr, void *out, size_t n)
{
	(void)ctx;
	memcpy(out, (void *)addr, n);
	return 0;
}

static uint64_t thread_pointer(void)
{
	uint64_t tp;

	__asm__("mov %%fs:0, %0" : "=r"(tp));
	return tp;
}

static void a_thread_local_variable_is_found_as_gdb_finds_it(void **state)
{
	struct elf_tls_layout layout;
	struct elf_symbol s;
	struct elfsym *libc, *exe;
	struct link_map *lm;
	Dl_info info;
	size_t n, n_exe;
	void *file = map_file(libc_path(), &n), *own = map_file("/proc/self/exe", &n_exe);
	uint64_t at;

	(void)state;
	assert_int_equal(elfsym_open_memory(file, n, &libc), 0);
	assert_int_equal(elfsym_open_memory(own, n_exe, &exe), 0);
	int err = elfsym_tls_layout(libc, &layout);

	if (err == -ENOENT)
		skip();
	assert_int_equal(err, 0);
	assert_int_equal(elfsym_find(exe, "elfsym_test_tls", &s), 0);
	assert_int_equal(s.type, STT_TLS);
	assert_true(dladdr1(&elfsym_test_global, &info, (void **)&lm, RTLD_DL_LINKMAP));
	assert_int_equal(elf_tls_address(&layout, read_self, NULL, thread_pointer(), (uintptr_t)lm, s.value, &at), 0);
	assert_ptr_equal((void *)at, &elfsym_test_tls);
	elfsym_close(libc);
	elfsym_close(exe);
	munmap(file, n);
	munmap(own, n_exe);
}

static int count_symbol(void *ctx, const struct elf_symbol *s)
{
	uint64_t *last = ctx;

	assert_true(s->value >= *last);
	*last = s->value;
	return 0;
}

static void each_goes_by_value_and_can_be_stopped(void **state)
{
	struct elfsym *e;
	uint64_t last = 0;
	size_t n;
	void *file = map_file("/proc/self/exe", &n);

	(void)state;
	assert_int_equal(elfsym_open_memory(file, n, &e), 0);
	assert_int_equal(elfsym_each(e, count_symbol, &last), 0);
	assert_true(last);
	elfsym_close(e);
	munmap(file, n);
}

static int failing_read(void *ctx, uint64_t off, void *out, size_t n)
{
	(void)ctx;
	(void)off;
	(void)out;
	(void)n;
	return -EIO;
}

static void errors_of_the_reader_come_through(void **state)
{
	struct elf_source src = { .read = failing_read, .size = 1000 };
	struct elfsym *e;

	(void)state;
	assert_int_equal(elfsym_open(&src, &e), -EIO);
	assert_int_equal(elfsym_open_memory("#!/bin/sh", 9, &e), -RL_EUNSUPPORTED);
	assert_false(elf_is("\177ELF", 4));
}

/* All that one may ask of a file, and whatever it answers must not crash. */
static void ask_everything(const void *bytes, size_t n)
{
	uint8_t id[64];
	struct elf_tls_layout layout;
	struct elf_symbol s;
	struct elfsym *e;
	uint64_t last = 0;

	if (elfsym_open_memory(bytes, n, &e))
		return;
	elfsym_build_id(e, id);
	elfsym_find(e, "getpid", &s);
	if (elfsym_find_addr(e, 0x12345, &s) == 0)
		assert_non_null(s.name);
	elfsym_tls_layout(e, &layout);
	elfsym_each(e, count_symbol, &last);
	elfsym_close(e);
}

static void damaged_files_give_errors_or_answers_but_no_crash(void **state)
{
	size_t n;
	uint8_t *file = map_file("/proc/self/exe", &n);
	const Elf64_Ehdr *h = (const Elf64_Ehdr *)file;
	uint8_t *copy = malloc(n);
	uint32_t x = 1;

	(void)state;
	const size_t n_small = 4096 < n ? 4096 : n;

	for (size_t cut = 0; cut < n_small; cut += 7)
		ask_everything(file, cut);
	for (int round = 0; round < 1500; round++) {
		memcpy(copy, file, n);
		for (int k = 0; k < 4; k++) {
			x = x * 1664525 + 1013904223;
			/* headers, segments, section headers: where a wrong byte does the most */
			size_t at = round & 1 ? (x >> 8) % 1024
					      : h->e_shoff + (x >> 8) % (h->e_shnum * sizeof(Elf64_Shdr));

			if (at < n)
				copy[at] ^= (uint8_t)(1u << (x & 7));
		}
		ask_everything(copy, n);
		if (round & 2) {
			((Elf64_Ehdr *)copy)->e_shoff = 0;
			ask_everything(copy, n);
		}
	}
	free(copy);
	munmap(file, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(symbols_are_found_by_name_and_by_address),
		cmocka_unit_test(initialised_data_is_read_by_address),
		cmocka_unit_test(header_segments_and_build_id_are_those_of_the_file),
		cmocka_unit_test(a_file_without_sections_has_its_dynamic_symbols),
		cmocka_unit_test(a_thread_local_variable_is_found_as_gdb_finds_it),
		cmocka_unit_test(each_goes_by_value_and_can_be_stopped),
		cmocka_unit_test(errors_of_the_reader_come_through),
		cmocka_unit_test(damaged_files_give_errors_or_answers_but_no_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
