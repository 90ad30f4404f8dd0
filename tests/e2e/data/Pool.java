import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;

/** A thread pool that makes garbage, a parallel stream, a map that threads share: the same sums each time. */
public class Pool {
	static long garbage(int n) {
		List<byte[]> kept = new ArrayList<>();
		Map<Integer, String> names = new HashMap<>();
		long sum = 0;

		for (int i = 0; i < 15000; i++) {
			byte[] b = new byte[200 + i % 50];
			b[i % 200] = (byte) (i * n);
			sum += b[i % 200];
			kept.add(b);
			if (kept.size() > 1000)
				kept.clear();
			names.put(i % 977, "v" + i + n);
		}
		return sum + names.get(5).length() + names.size();
	}

	public static void main(String[] args) throws Exception {
		ExecutorService pool = Executors.newFixedThreadPool(4);
		List<Future<Long>> results = new ArrayList<>();
		long total = 0;

		for (int i = 0; i < 12; i++) {
			int n = i;
			results.add(pool.submit(() -> garbage(n)));
		}
		for (Future<Long> r : results)
			total = total * 31 + r.get();
		pool.shutdown();
		System.out.println(pool.awaitTermination(60, TimeUnit.SECONDS) + " " + total);
		System.gc();
		System.out.println(IntStream.range(0, 100000).parallel().mapToLong(i -> i * 3L).sum());

		ConcurrentHashMap<Integer, Integer> counts = new ConcurrentHashMap<>();
		Thread[] threads = new Thread[4];
		for (int t = 0; t < threads.length; t++) {
			threads[t] = new Thread(() -> IntStream.range(0, 5000).forEach(k -> counts.merge(k % 100, 1, Integer::sum)));
			threads[t].start();
		}
		for (Thread t : threads)
			t.join();
		System.out.println(counts.values().stream().mapToInt(Integer::intValue).sum());
	}
}
