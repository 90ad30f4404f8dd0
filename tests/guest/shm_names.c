/* POSIX and System V shared memory. */
#include "guest.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/shm.h>

int main(void)
{
	char name[64];
	int fd, id;
	volatile int *p;
	pid_t pid;

	snprintf(name, sizeof(name), "/relive-guest-%d", (int)getpid());
	fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	CHECK(fd >= 0 && ftruncate(fd, 4096) == 0);
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	pid = fork();
	if (pid == 0) {
		p[0] = 42;
		_exit(0);
	}
	CHECK(guest_wait(pid) == 0 && p[0] == 42 && shm_unlink(name) == 0);

	id = shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600);
	CHECK(id >= 0);
	p = shmat(id, NULL, 0);
	CHECK(p != (void *)-1 && shmctl(id, IPC_RMID, NULL) == 0);
	pid = fork();
	if (pid == 0) {
		p[1000] = 43;
		_exit(0);
	}
	CHECK(guest_wait(pid) == 0 && p[1000] == 43 && shmdt((void *)p) == 0);
	return guest_done();
}
