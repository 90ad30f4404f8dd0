/*
 * Ways to execute: by descriptor, also of a file that has no name and of one that lies in memory; scripts of scripts, with an
 * argument; by a relative name; a program with the setuid bit; and what cannot be executed, after which all is as it was.
 */
#include "guest.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static char self[4096];
static char dir[] = "exec_forms_XXXXXX";

static int run_at(int fd, const char *path, int flags, const char *word)
{
	char *argv[] = { (char *)"exec_forms", (char *)word, NULL };
	char *env[] = { (char *)"FROM=exec_forms", NULL };
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		syscall(SYS_execveat, fd, path, argv, env, flags);
		_exit(errno);
	}
	return WEXITSTATUS(guest_wait(child));
}

static int run(const char *path, const char *word)
{
	return run_at(AT_FDCWD, path, 0, word);
}

static void copy_to(int out)
{
	static char bytes[65536];
	int in = open(self, O_RDONLY);
	ssize_t n;

	while ((n = read(in, bytes, sizeof(bytes))) > 0)
		CHECK(write(out, bytes, (size_t)n) == n);
	CHECK(n == 0);
	close(in);
}

static const char *file(const char *name)
{
	static char path[4200];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void make(const char *name, mode_t mode, const char *text)
{
	int fd = open(file(name), O_CREAT | O_WRONLY, 0700);

	CHECK(fd >= 0);
	if (text)
		CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	else
		copy_to(fd);
	CHECK(fchmod(fd, mode) == 0 && close(fd) == 0);
}

static void by_descriptor(void)
{
	int fd = open(self, O_PATH | O_CLOEXEC), mem = memfd_create("program", MFD_CLOEXEC), gone;

	CHECK(run_at(fd, "", AT_EMPTY_PATH, "40") == 40);
	copy_to(mem);
	CHECK(run_at(mem, "", AT_EMPTY_PATH, "41") == 41);
	make("gone", 0700, NULL);
	gone = open(file("gone"), O_RDONLY | O_CLOEXEC);
	CHECK(unlink(file("gone")) == 0 && run_at(gone, "", AT_EMPTY_PATH, "42") == 42);
	close(fd);
	close(mem);
	close(gone);
	fd = open(dir, O_PATH | O_DIRECTORY);
	make("here", 0700, NULL);
	CHECK(run_at(fd, "here", 0, "43") == 43);
	CHECK(symlink("here", file("link")) == 0 && run_at(fd, "link", 0, "44") == 44);
	CHECK(run_at(fd, "link", AT_SYMLINK_NOFOLLOW, "45") == ELOOP);
	close(fd);
}

static void scripts(void)
{
	char line[4400];

	snprintf(line, sizeof(line), "#!%s 50\n", self);
	make("script", 0700, line);
	CHECK(run(file("script"), "51") == 50);   /* its argument comes first */
	snprintf(line, sizeof(line), "#!%s/script\n", dir);
	make("second", 0700, line);
	CHECK(run(file("second"), "51") == 50);
	make("shell", 0700, "#!/bin/sh\nexit $((50 + $1))\n");
	CHECK(run(file("shell"), "2") == 52);
}

static void others(void)
{
	CHECK(run("/nonexistent/program", "1") == ENOENT && run(dir, "1") == EACCES);
	make("text", 0700, "nothing that can be executed\n");
	CHECK(run(file("text"), "1") == ENOEXEC);
	make("short", 0700, "\177ELF");
	CHECK(run(file("short"), "1") == ENOEXEC);
	make("lost", 0700, "#!/nonexistent/interpreter\n");
	CHECK(run(file("lost"), "1") == ENOENT);
	make("setuid", 04755, NULL);
	CHECK(run(file("setuid"), "60") == 60);
}

static void too_much(void)
{
	static char *argv[100000];
	char *env[] = { NULL }, **volatile bad = (char **)8;

	for (int i = 0; i < 99999; i++)
		argv[i] = self;
	CHECK(execve(self, argv, env) == -1 && errno == E2BIG);
	CHECK(execve(self, bad, env) == -1 && errno == EFAULT);
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "here", "link", "script", "second", "shell", "text", "short", "lost", "setuid" };

	if (argc >= 2)
		return getenv("FROM") && strcmp(getenv("FROM"), "exec_forms") == 0 ? atoi(argv[1]) : 99;
	CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0 && mkdtemp(dir));
	by_descriptor();
	scripts();
	others();
	too_much();
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		CHECK(unlink(file(names[i])) == 0);
	CHECK(rmdir(dir) == 0);
	return guest_done();
}
