/* relive doctor: what this machine offers, what relive makes of it, what would be better. */
#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/json.h"
#include "cli/say.h"
#include "cli/text.h"
#include "tracee/caps.h"
#include "tracee/confine.h"

enum { OPT_JSON = 256 };

static const struct cli_opt opts[] = {
	{ OPT_JSON, "json", NULL, "the same as one JSON object" },
	{ 0 },
};

static const char help[] =
	"Everything is found by trying, which takes a moment and changes nothing.\n"
	"\n"
	"Exit status: 0 if programs can be recorded and replayed here, 125 if not.";

#define GDB_MIN 12

/* What relive's own tests have run on. Whatever differs is said to be untested, not to be broken. */
#define TESTED_KERNEL "6.18"

#define UNTESTED_MAX 4

struct doctor {
	const struct caps *caps;
	bool works;
	char cpu[49], vendor[13];
	bool in_vm;
	char gdb[128];          /* the first line of gdb --version, or "" */
	int gdb_major;
	const char *untested[UNTESTED_MAX];
	size_t n_untested;
};

static void ask_cpu(struct doctor *d)
{
	unsigned a, b, c, x, words[12];

	if (__get_cpuid(0, &a, &b, &c, &x)) {
		memcpy(d->vendor, &b, 4);
		memcpy(d->vendor + 4, &x, 4);
		memcpy(d->vendor + 8, &c, 4);
	}
	if (__get_cpuid(1, &a, &b, &c, &x))
		d->in_vm = c >> 31;
	if (__get_cpuid_max(0x80000000u, NULL) >= 0x80000004u) {
		for (unsigned i = 0; i < 3; i++)
			__get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2], &words[4 * i + 3]);
		memcpy(d->cpu, words, 48);
	}
}

/* "GNU gdb (Debian 13.1-3) 13.1" -> 13: the number after the last space. */
static int major_of(const char *version)
{
	const char *space = strrchr(version, ' ');

	return space ? atoi(space + 1) : 0;
}

static void ask_gdb(struct doctor *d)
{
	const char *gdb = getenv("GDB");
	char word[1024], command[1200];
	FILE *f;

	if (!text_sh_quote(gdb && *gdb ? gdb : "gdb", word, sizeof(word)))
		return;
	snprintf(command, sizeof(command), "%s --version </dev/null 2>/dev/null", word);
	f = popen(command, "re");
	if (!f)
		return;
	if (fgets(d->gdb, sizeof(d->gdb), f))
		d->gdb[strcspn(d->gdb, "\n")] = 0;
	while (fgets(word, sizeof(word), f))
		;
	if (pclose(f))
		d->gdb[0] = 0;
	d->gdb_major = major_of(d->gdb);
}

static void add_untested(struct doctor *d, const char *what)
{
	if (d->n_untested < UNTESTED_MAX)
		d->untested[d->n_untested++] = what;
}

static void find_untested(struct doctor *d)
{
	if (strcmp(d->vendor, "GenuineIntel") && strcmp(d->vendor, "AuthenticAMD"))
		add_untested(d, "this make of processor (tested: Intel, AMD)");
	if (!d->in_vm)
		add_untested(d, "a machine that is not virtual");
	if (strncmp(d->caps->release, TESTED_KERNEL ".", strlen(TESTED_KERNEL) + 1))
		add_untested(d, "this version of the kernel (tested: " TESTED_KERNEL ")");
	if (d->caps->page_tier == PAGE_TIER_SOFTDIRTY)
		add_untested(d, "soft-dirty bits (the machine of the tests has none); --page-tracking=hash is tested");
}

/* What relive does here, mechanism by mechanism. */
struct choice {
	const char *mechanism, *chosen, *better;        /* better: "" if nothing is */
};

#define CHOICES_MAX 8

static size_t choices(const struct doctor *d, struct choice out[CHOICES_MAX])
{
	static const char *const tiers[] = {
		[PAGE_TIER_SCAN] = "scan: asynchronous write-protection, the kernel lists written pages",
		[PAGE_TIER_SOFTDIRTY] = "soft-dirty: a bit for each page is read",
		[PAGE_TIER_HASH] = "hash: all resident writable pages are hashed",
	};
	const struct cap *cap = d->caps->cap;
	bool scan = d->caps->page_tier == PAGE_TIER_SCAN, outer = confined_by_others();
	size_t n = 0;

	out[n++] = (struct choice){ "written pages", tiers[d->caps->page_tier],
				    scan ? "" : cap[CAP_PAGE_SCAN].note };
	out[n++] = (struct choice){ "preemption points", "state clock: registers, stack window and page hashes", "" };
	out[n++] = (struct choice){ "system calls", !cap[CAP_SECCOMP].works ? "a ptrace stop each" :
				    outer ? "a ptrace stop each, as this is under a seccomp filter already" :
				    "frequent ones without a stop, by code put beside the program's; else a ptrace stop",
				    cap[CAP_SECCOMP].works ? "" : cap[CAP_SECCOMP].note };
	out[n++] = (struct choice){ "time stamp counter", cap[CAP_TSC_FAULT].works ? "trapped and recorded" : "seen as it is",
				    cap[CAP_TSC_FAULT].works ? "" : cap[CAP_TSC_FAULT].note };
	out[n++] = (struct choice){ "cpuid", cap[CAP_CPUID_FAULT].works ? "trapped and recorded" : "recorded: its places in files' code are made to trap",
				    cap[CAP_CPUID_FAULT].works ? "" : "code that programs make at run time sees the processor as it is" };
	out[n++] = (struct choice){ "watchpoints", cap[CAP_HW_DATA].works ? "debug registers, else page protection" : "page protection",
				    cap[CAP_HW_DATA].works ? "" : cap[CAP_HW_DATA].note };
	return n;
}

static void put_text(const struct doctor *d)
{
	const struct caps *caps = d->caps;
	struct choice c[CHOICES_MAX];
	size_t n = choices(d, c);

	puts(d->works ? "Programs can be recorded and replayed here." : "Programs can NOT be recorded here: see what is wrong below.");
	printf("\n  %-22s %s\n  %-22s Linux %s\n  %-22s %s, %d for this process%s\n", "relive", RELIVE_VERSION, "kernel", caps->release,
	       "processor", d->cpu, caps->n_cpus, d->in_vm ? ", in a virtual machine" : "");
	fputs("  gdb                    ", stdout);
	if (!d->gdb[0])
		puts("none: install the package gdb; 'relive replay --no-gdb' works without");
	else
		printf("%s%s\n", d->gdb, d->gdb_major < GDB_MIN ? " (too old: relive needs gdb 12 or later)" : "");
	puts("\nWhat relive does here");
	for (size_t i = 0; i < n; i++) {
		printf("  %-22s %s\n", c[i].mechanism, c[i].chosen);
		if (*c[i].better)
			printf("  %-22s better: %s\n", "", c[i].better);
	}
	puts("\nWhat this machine offers");
	for (int i = 0; i < N_CAPS; i++)
		printf("  %-28s %-36s %s\n", caps->cap[i].name, caps->cap[i].value, caps->cap[i].note);
	printf("  %-28s %-36d %s\n", "kernel.yama.ptrace_scope", caps->yama_scope, caps->yama_note);
	if (d->n_untested)
		puts("\nUntested: relive's tests have not run with");
	for (size_t i = 0; i < d->n_untested; i++)
		printf("  %s\n", d->untested[i]);
}

static void put_json(const struct doctor *d)
{
	struct json j = { .f = stdout, .style = JSON_INDENTED };
	struct choice c[CHOICES_MAX];
	size_t n = choices(d, c);

	json_object(&j, NULL);
	json_bool(&j, "works", d->works);
	json_str(&j, "relive", RELIVE_VERSION);
	json_str(&j, "kernel", d->caps->release);
	json_str(&j, "processor", d->cpu);
	json_bool(&j, "virtual", d->in_vm);
	json_i64(&j, "n_cpus", d->caps->n_cpus);
	json_str(&j, "gdb", d->gdb);
	json_str(&j, "page_tracking", page_tier_name(d->caps->page_tier));
	json_array(&j, "mechanisms");
	for (size_t i = 0; i < n; i++) {
		json_object(&j, NULL);
		json_str(&j, "mechanism", c[i].mechanism);
		json_str(&j, "chosen", c[i].chosen);
		json_str(&j, "better", c[i].better);
		json_object_end(&j);
	}
	json_array_end(&j);
	json_array(&j, "capabilities");
	for (int i = 0; i < N_CAPS; i++) {
		json_object(&j, NULL);
		json_str(&j, "name", d->caps->cap[i].name);
		json_bool(&j, "works", d->caps->cap[i].works);
		json_str(&j, "value", d->caps->cap[i].value);
		json_str(&j, "note", d->caps->cap[i].note);
		json_object_end(&j);
	}
	json_array_end(&j);
	json_i64(&j, "ptrace_scope", d->caps->yama_scope);
	json_array(&j, "untested");
	for (size_t i = 0; i < d->n_untested; i++)
		json_str(&j, NULL, d->untested[i]);
	json_array_end(&j);
	json_object_end(&j);
	putchar('\n');
}

static int run(const struct command *self, int argc, char **argv)
{
	struct doctor d = { 0 };
	bool json = false;
	struct args a;
	int opt, status;

	args_init(&a, self, argc, argv);
	while ((opt = args_next(&a)) >= 0)
		json = opt == OPT_JSON || json;
	if (opt == ARGS_DONE)
		return a.status;
	if (a.n_operands)
		return fail("'relive doctor' takes no operand, but got '%s'", a.operands[0]);
	d.caps = caps_get();
	d.works = d.caps->cap[CAP_PTRACE].works && d.caps->cap[CAP_SECCOMP].works;
	ask_cpu(&d);
	ask_gdb(&d);
	find_untested(&d);
	if (json)
		put_json(&d);
	else
		put_text(&d);
	status = stdout_finish();
	return status ? status : d.works ? 0 : EXIT_RELIVE;
}

const struct command cmd_doctor = {
	.name = "doctor",
	.summary = "Tell what this machine offers for recording.",
	.usage = "doctor [OPTIONS]",
	.help = help,
	.opts = opts,
	.run = run,
};
