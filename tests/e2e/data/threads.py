"""A threaded script: queue, locks, timers, random, time. With an argument it also prints what differs from run to run."""
import queue
import random
import sys
import threading
import time

jobs, results = queue.Queue(maxsize=10), queue.Queue()
lock = threading.Lock()
order = []


def worker(name):
    while True:
        n = jobs.get()
        if n is None:
            return
        if random.random() < 0.1:
            time.sleep(random.random() / 500)
        s = sum(i * i for i in range(n * 20))
        with lock:
            order.append(name)
        results.put((n, s))


start = time.monotonic()
threads = [threading.Thread(target=worker, args=("t%d" % i,)) for i in range(4)]
for t in threads:
    t.start()
for n in range(200):
    jobs.put(n)
for _ in threads:
    jobs.put(None)
for t in threads:
    t.join()
done = threading.Event()
threading.Timer(0.01, done.set).start()
assert done.wait(10)
print("sum", sum(s for _, s in [results.get() for _ in range(200)]))
print("jobs done", len(order))
if len(sys.argv) > 1:
    print("took", time.monotonic() - start, "random", random.random(), "at", time.time())
    print("".join(o[1] for o in order))
    print({"a", "b", "c", "d", "e"}, hash("text"))
