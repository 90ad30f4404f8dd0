use std::collections::BTreeMap;
use std::sync::{mpsc, Arc, Mutex};
use std::thread;

fn main() {
    let counts = Arc::new(Mutex::new(BTreeMap::new()));
    let (tx, rx) = mpsc::channel();
    let threads: Vec<_> = (0..4u64)
        .map(|id| {
            let (counts, tx) = (Arc::clone(&counts), tx.clone());
            thread::spawn(move || {
                let mut x = id + 1;
                for _ in 0..2000 {
                    x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    *counts.lock().unwrap().entry(x >> 60).or_insert(0u64) += 1;
                }
                tx.send(x).unwrap();
            })
        })
        .collect();
    drop(tx);
    for t in threads {
        t.join().unwrap();
    }
    let sum = rx.iter().fold(0u64, |a, b| a ^ b);
    println!("{:?} {:x}", counts.lock().unwrap(), sum);
    let caught = std::panic::catch_unwind(|| std::panic::resume_unwind(Box::new(7)));
    println!("caught: {}", caught.is_err());
}
