/* Files and directories: create, stat, rename, link, symlink, readdir, chmod, utimens, truncate, locks, getcwd, chdir, copy. */
#include "guest.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

int main(void)
{
	char dir[] = "/tmp/relive-guest-files-XXXXXX", cwd[PATH_MAX], buf[100];
	struct stat st;
	struct statvfs vfs;
	struct flock lk = { .l_type = F_WRLCK };
	int fd, out, n = 0;
	DIR *d;

	CHECK(mkdtemp(dir) && chdir(dir) == 0 && getcwd(cwd, sizeof(cwd)) && strcmp(cwd, dir) == 0);
	fd = open("a", O_RDWR | O_CREAT | O_EXCL, 0640);
	CHECK(fd >= 0 && write(fd, "contents", 8) == 8 && fstat(fd, &st) == 0 && st.st_size == 8 && (st.st_mode & 0777) == 0640);
	CHECK(open("a", O_RDWR | O_CREAT | O_EXCL, 0640) == -1 && errno == EEXIST);
	CHECK(link("a", "b") == 0 && symlink("a", "c") == 0 && stat("c", &st) == 0 && st.st_nlink == 2);
	CHECK(lstat("c", &st) == 0 && S_ISLNK(st.st_mode) && readlink("c", buf, sizeof(buf)) == 1);
	CHECK(rename("b", "d") == 0 && access("b", F_OK) == -1 && mkdir("sub", 0755) == 0 && rmdir("sub") == 0);
	CHECK(fchmod(fd, 0600) == 0 && futimens(fd, NULL) == 0 && ftruncate(fd, 4) == 0 && lseek(fd, 0, SEEK_END) == 4);
	CHECK(flock(fd, LOCK_EX) == 0 && fcntl(fd, F_SETLK, &lk) == 0 && fsync(fd) == 0);
	out = openat(AT_FDCWD, "e", O_RDWR | O_CREAT, 0600);
	lseek(fd, 0, SEEK_SET);
	CHECK(sendfile(out, fd, NULL, 100) == 4 && pread(out, buf, 100, 0) == 4 && memcmp(buf, "cont", 4) == 0);
	CHECK(posix_fallocate(out, 0, 10000) == 0 && posix_fadvise(out, 0, 0, POSIX_FADV_RANDOM) == 0);
	d = opendir(".");
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	CHECK(n == 4 && statvfs(".", &vfs) == 0 && vfs.f_bsize > 0);
	CHECK(unlink("a") == 0 && unlink("c") == 0 && unlink("d") == 0 && unlink("e") == 0);
	CHECK(chdir("/") == 0 && rmdir(dir) == 0);
	printf("entries: %d\n", n);
	return guest_done();
}
