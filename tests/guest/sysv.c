/* System V: shared memory between processes, semaphores with undo, message queues by type. */
#include "guest.h"
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

struct msg {
	long type;
	char text[32];
};

int main(void)
{
	int shm = shmget(IPC_PRIVATE, 3 * 4096, IPC_CREAT | 0600), sem = semget(IPC_PRIVATE, 2, IPC_CREAT | 0600);
	int q = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
	struct sembuf down = { 0, -1, SEM_UNDO }, up = { 1, 1, 0 }, wait1 = { 1, -1, 0 };
	struct timespec soon = { 0, 2000000 };
	struct shmid_ds ds;
	struct msqid_ds qs;
	struct msg m = { 0 };
	int *mem, *again;
	pid_t pid;

	CHECK(shm >= 0 && sem >= 0 && q >= 0);
	mem = shmat(shm, NULL, 0);
	again = shmat(shm, NULL, SHM_RDONLY);
	CHECK(mem != (void *)-1 && again != (void *)-1 && mem != again);
	CHECK(semctl(sem, 0, SETVAL, 1) == 0 && semctl(sem, 1, SETVAL, 0) == 0);
	CHECK(shmctl(shm, IPC_RMID, NULL) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK(semop(sem, &down, 1) == 0);
		mem[5] = 55;
		for (long type = 1; type <= 3; type++) {
			m.type = type;
			snprintf(m.text, sizeof(m.text), "message %ld", type);
			CHECK(msgsnd(q, &m, sizeof(m.text), 0) == 0);
		}
		CHECK(semop(sem, &up, 1) == 0);
		_exit(0);   /* undoes the down */
	}
	CHECK(semop(sem, &wait1, 1) == 0);
	CHECK(mem[5] == 55 && again[5] == 55);
	CHECK(guest_wait(pid) == 0);
	CHECK(semctl(sem, 0, GETVAL) == 1);
	CHECK(semtimedop(sem, &wait1, 1, &soon) == -1 && errno == EAGAIN);
	for (long type = 3; type >= 1; type--) {
		CHECK(msgrcv(q, &m, sizeof(m.text), type, 0) == sizeof(m.text) && m.type == type);
		puts(m.text);
	}
	CHECK(msgrcv(q, &m, sizeof(m.text), 0, IPC_NOWAIT) == -1 && errno == ENOMSG);
	CHECK(msgctl(q, IPC_STAT, &qs) == 0 && qs.msg_qnum == 0);
	CHECK(shmctl(shm, IPC_STAT, &ds) == 0 && ds.shm_nattch == 2 && ds.shm_segsz == 3 * 4096);
	CHECK(shmdt(again) == 0 && shmdt(mem) == 0);
	CHECK(semctl(sem, 0, IPC_RMID) == 0 && msgctl(q, IPC_RMID, NULL) == 0);
	return guest_done();
}
