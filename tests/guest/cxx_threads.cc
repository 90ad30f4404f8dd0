// C++: exceptions through several frames and threads, iostreams, std::thread, futures, containers, atomics, condition variables.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

struct counted {
	static std::atomic<int> alive;
	counted() { alive++; }
	~counted() { alive--; }
};
std::atomic<int> counted::alive{0};

static int deep(int n)
{
	counted c;
	if (n == 0)
		throw std::out_of_range("bottom");
	return deep(n - 1) + 1;
}

int main()
{
	try {
		deep(20);
		return 1;
	} catch (const std::exception &e) {
		std::cout << "caught: " << e.what() << ", alive: " << counted::alive << std::endl;
	}

	std::mutex m;
	std::condition_variable cv;
	std::map<std::string, int> words;
	std::vector<std::thread> threads;
	int ready = 0;
	for (int i = 0; i < 4; i++)
		threads.emplace_back([&, i] {
			std::ostringstream s;
			for (int k = 0; k < 50; k++) {
				s.str("");
				s << "word" << (i + k) % 7;
				std::lock_guard<std::mutex> g(m);
				words[s.str()]++;
			}
			std::lock_guard<std::mutex> g(m);
			ready++;
			cv.notify_one();
		});
	{
		std::unique_lock<std::mutex> l(m);
		cv.wait(l, [&] { return ready == 4; });
	}
	for (auto &t : threads)
		t.join();
	for (auto &w : words)
		std::cout << w.first << " " << w.second << "\n";

	auto f = std::async(std::launch::async, [] { deep(3); return 1; });
	try {
		f.get();
	} catch (const std::out_of_range &) {
		std::cout << "rethrown by a future" << std::endl;
	}
	std::vector<double> v(10000);
	for (size_t i = 0; i < v.size(); i++)
		v[i] = static_cast<double>((i * 7919) % 10007) / 3;
	std::sort(v.begin(), v.end());
	std::cerr << "middle " << v[v.size() / 2] << std::endl;
	std::cout << "EXIT-SUCCESS" << std::endl;
}
