#include "replayer/codeview.h"

#include <string.h>
#include <sys/mman.h>
#include "replayer/objects.h"
#include "tracee/agentcode.h"
#include "tracee/insn_site.h"
#include "tracee/maps.h"
#include "tracee/remote.h"

#define OPCODE_0F 0x0f

/* What the file that is mapped at an address has there: two bytes. */
static bool file_bytes(struct session *s, const struct maps *maps, uint64_t addr, uint8_t out[2])
{
	const struct mapping *m = maps_find(maps, addr);
	uint32_t obj = m && m->ino && !m->shared && m->prot & PROT_EXEC ? objects_find(s->objects, m->ino) : 0;

	return obj && trace_object_read(s->trace, obj, m->off + (addr - m->start), out, 2) == 2;
}

/* The first byte of an instruction that was made to trap gives way to hlt; the one behind it stays, and tells it from others. */
static void put_back_traps(struct session *s, const struct rtask *t, uint64_t addr, uint8_t *bytes, size_t n)
{
	const uint8_t *at = memchr(bytes, INSN_SITE_TRAP, n);
	struct maps maps = { 0 };

	if (!at || maps_read_range(t->host->pid, addr, addr + n, &maps))
		return;
	while (at) {
		size_t i = (size_t)(at - bytes);
		uint8_t file[2], behind = 0;

		if (i + 1 < n)
			behind = bytes[i + 1];
		else
			(void)mem_read(t->host->mem_fd, addr + n, &behind, 1);
		if (file_bytes(s, &maps, addr + i, file) && file[0] == OPCODE_0F && file[1] == behind)
			bytes[i] = OPCODE_0F;
		at = memchr(at + 1, INSN_SITE_TRAP, n - i - 1);
	}
	maps_free(&maps);
}

size_t codeview_read(struct session *s, const struct rtask *t, uint64_t addr, void *out, size_t n)
{
	size_t got = mem_read_some(t->host->mem_fd, addr, out, n);

	agent_unpatch(t->host->mem_fd, addr, out, got);
	put_back_traps(s, t, addr, out, got);
	return got;
}
