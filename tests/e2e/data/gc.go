package main

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
)

type node struct{ left, right *node }

func tree(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{tree(depth - 1), tree(depth - 1)}
}

func (n *node) count() int {
	if n.left == nil {
		return 1
	}
	return 1 + n.left.count() + n.right.count()
}

// Goroutines that make trees and maps, so that the collector has to run while they do.
func main() {
	var wg sync.WaitGroup
	var mu sync.Mutex
	total, sum := 0, 0
	counts := make(chan int, 4)
	for i := 0; i < 8; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			for k := 0; k < 10; k++ {
				c := tree(10 + i%3).count()
				m := map[string]int{}
				for j := 0; j < 500; j++ {
					m[strings.Repeat("k", j%17)+fmt.Sprint(j)] = j
				}
				mu.Lock()
				total += c + len(m)
				mu.Unlock()
				counts <- c
			}
		}(i)
	}
	go func() { wg.Wait(); close(counts) }()
	for c := range counts {
		sum += c
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Println(total, sum, stats.NumGC > 0)
}
