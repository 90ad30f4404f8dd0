package main

import (
	"fmt"
	"os"
	"sort"
	"sync"
	"time"
)

func work(n int) int {
	sum := 0
	for i := 0; i < n*1000; i++ {
		sum += i % (n + 1)
	}
	return sum
}

func main() {
	jobs := make(chan int, 4)
	results := make(chan string)
	var wg sync.WaitGroup
	var mu sync.Mutex
	total := 0
	for w := 0; w < 4; w++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := range jobs {
				s := work(n)
				mu.Lock()
				total += s
				mu.Unlock()
				results <- fmt.Sprintf("job %3d: %d", n, s)
			}
		}()
	}
	go func() {
		for n := 0; n < 100; n++ {
			jobs <- n
			if n%25 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		close(jobs)
		wg.Wait()
		close(results)
	}()
	var lines []string
	for r := range results {
		lines = append(lines, r)
	}
	sort.Strings(lines)
	for _, l := range lines {
		fmt.Println(l)
	}
	garbage := make(map[int][]byte)
	for i := 0; i < 2000; i++ {
		garbage[i%50] = make([]byte, 10000)
	}
	fmt.Println("total", total, len(garbage))
	fmt.Fprintln(os.Stderr, "done")
}
