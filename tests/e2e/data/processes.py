"""Child processes, a pool of them, spawned ones, coroutines, a socket server with threads: the same lines each time."""
import asyncio
import multiprocessing
import socket
import socketserver
import subprocess
import threading


def square(x):
    return x * x


class Upper(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())


async def child(n):
    p = await asyncio.create_subprocess_exec("/bin/echo", "child", str(n), stdout=subprocess.PIPE)
    out, _ = await p.communicate()
    await asyncio.sleep(0.005 * n)
    return out.decode().strip()


async def children():
    return await asyncio.gather(*(child(i) for i in range(5)))


def serve():
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Upper)
    loop = threading.Thread(target=server.serve_forever)
    loop.start()
    answers = []

    def client(i):
        with socket.create_connection(server.server_address) as c, c.makefile("rwb") as f:
            for k in range(20):
                f.write(b"line %d %d\n" % (i, k))
                f.flush()
                answers.append(f.readline())

    clients = [threading.Thread(target=client, args=(i,)) for i in range(4)]
    for t in clients:
        t.start()
    for t in clients:
        t.join()
    server.shutdown()
    loop.join()
    server.server_close()
    return len(answers), min(answers), max(answers)


if __name__ == "__main__":
    print(subprocess.run(["/bin/sh", "-c", "seq 100 | sort | cksum"], capture_output=True, text=True).stdout)
    with multiprocessing.Pool(3) as pool:
        print(sum(pool.map(square, range(1000), 10)))
    spawn = multiprocessing.get_context("spawn")
    queue = spawn.Queue()
    processes = [spawn.Process(target=queue.put, args=(i,)) for i in range(2)]
    for p in processes:
        p.start()
    print(sorted(queue.get() for _ in processes))
    for p in processes:
        p.join()
    print(asyncio.run(children()))
    print(serve())
