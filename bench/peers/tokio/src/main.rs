// SPDX-License-Identifier: MIT

//! Tokio tasks for what the runtime's tasks do. Not the storms: Tokio has its users move blocking
//! code to threads by hand.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, Mutex, Semaphore};

const UNKNOWN_CASE: i32 = 64;

fn cpu_ns() -> f64 {
    // user and system time are fields 14 and 15, in ticks of 10 ms; schedstat is in ns, per thread
    let mut total = 0.0;
    for entry in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = entry.unwrap().path().join("schedstat");
        if let Ok(text) = std::fs::read_to_string(path) {
            total += text.split(' ').next().unwrap().parse::<f64>().unwrap();
        }
    }
    total
}

struct Stopwatch(Instant, f64);

impl Stopwatch {
    fn start() -> Self {
        let cpu = cpu_ns();
        Stopwatch(Instant::now(), cpu)
    }
    fn report(&self, operations: usize) {
        let wall = self.0.elapsed().as_nanos() as f64;
        let cpu = cpu_ns() - self.1;
        println!("wall_ns\t{:.3}\ncpu_ns\t{:.3}", wall / operations as f64, cpu / operations as f64);
    }
}

fn one() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

fn two() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
}

fn stage(name: &str) {
    println!("stage\t{name}");
    if std::io::stdin().read(&mut [0]).unwrap_or(0) == 0 {
        std::process::exit(0);
    }
}

fn yields(n: usize) {
    one().block_on(async move {
        let half = move || async move {
            for _ in 0..n / 2 {
                tokio::task::yield_now().await;
            }
        };
        let watch = Stopwatch::start();
        let a = tokio::spawn(half());
        let b = tokio::spawn(half());
        a.await.unwrap();
        b.await.unwrap();
        watch.report(n);
    });
}

fn spawn_join(n: usize) {
    one().block_on(async move {
        let watch = Stopwatch::start();
        for _ in 0..n {
            tokio::spawn(async {}).await.unwrap();
        }
        watch.report(n);
    });
}

// Its channels have at least one slot.
fn channels(n: usize) {
    one().block_on(async move {
        let (there, mut from_there) = mpsc::channel(1);
        let (back, mut from_back) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(v) = from_there.recv().await {
                back.send(v).await.unwrap();
            }
        });
        let watch = Stopwatch::start();
        for i in 0..n {
            there.send(i).await.unwrap();
            assert_eq!(from_back.recv().await, Some(i));
        }
        watch.report(n);
    });
}

fn contend(rt: Runtime, n: usize, held: bool) {
    const CONTENDERS: usize = 8;
    rt.block_on(async move {
        let m = Arc::new(Mutex::new(0));
        let mut all = Vec::new();
        let watch = Stopwatch::start();
        for _ in 0..CONTENDERS {
            let m = m.clone();
            all.push(tokio::spawn(async move {
                for _ in 0..n / CONTENDERS {
                    let mut count = m.lock().await;
                    *count += 1;
                    if held {
                        tokio::task::yield_now().await;
                    }
                }
            }));
        }
        for t in all {
            t.await.unwrap();
        }
        watch.report(n);
        assert_eq!(*m.lock().await, n / CONTENDERS * CONTENDERS);
    });
}

// As in bench/runtime/measure.hpp.
const TIMERS_PENDING: usize = 10_000;
const TIMERS_DUE: Duration = Duration::from_secs(1);

// The first poll sets the timer, and dropping takes it away.
async fn set(at: tokio::time::Instant) -> std::pin::Pin<Box<tokio::time::Sleep>> {
    let mut timer = Box::pin(tokio::time::sleep_until(at));
    std::future::poll_fn(|cx| {
        let _ = std::future::Future::poll(timer.as_mut(), cx);
        std::task::Poll::Ready(())
    })
    .await;
    timer
}

fn timer_insert(n: usize) {
    one().block_on(async move {
        let hour = tokio::time::Instant::now() + Duration::from_secs(3600);
        let at = |i: usize| hour + Duration::from_millis((i * 104729 % 10007) as u64);
        let mut others = Vec::new();
        for i in 0..TIMERS_PENDING {
            others.push(set(at(i)).await);
        }
        let watch = Stopwatch::start();
        for i in 0..n {
            drop(set(at(i)).await);
        }
        watch.report(n);
    });
}

fn timer_fire(n: usize) {
    one().block_on(async move {
        let mut all = Vec::new();
        let due = tokio::time::Instant::now() + TIMERS_DUE;
        for _ in 0..n {
            all.push(tokio::spawn(async move { tokio::time::sleep_until(due).await }));
        }
        tokio::time::sleep_until(due - TIMERS_DUE / 10).await;
        assert!(tokio::time::Instant::now() < due, "this machine is too slow");
        let watch = Stopwatch::start();
        for t in all {
            t.await.unwrap();
        }
        watch.report(n);
    });
}

fn timers(n: usize) {
    one().block_on(async move {
        let mut all = Vec::new();
        let watch = Stopwatch::start();
        for t in 0..n {
            all.push(tokio::spawn(async move {
                for i in 0..10 {
                    let us = 1000 + (t * 7919 + i * 104729) % 1000;
                    tokio::time::sleep(Duration::from_micros(us as u64)).await;
                }
            }));
        }
        for t in all {
            t.await.unwrap();
        }
        watch.report(n * 10);
    });
}

type Boxed<T> = std::pin::Pin<Box<dyn std::future::Future<Output = T> + Send>>;

fn sum(number: usize, leaves: usize) -> Boxed<usize> {
    Box::pin(async move {
        if leaves <= 1 {
            return number;
        }
        let each = leaves / 10;
        let children: Vec<_> =
            (0..10).map(|i| tokio::spawn(sum(number + i * each, each))).collect();
        let mut total = 0;
        for c in children {
            total += c.await.unwrap();
        }
        total
    })
}

fn skynet(n: usize) {
    two().block_on(async move {
        let watch = Stopwatch::start();
        let total = tokio::spawn(sum(0, n)).await.unwrap();
        watch.report(1);
        assert_eq!(total, n * (n - 1) / 2);
    });
}

fn fibonacci(n: usize) -> Boxed<usize> {
    Box::pin(async move {
        if n < 2 {
            return n;
        }
        let left = tokio::spawn(fibonacci(n - 1));
        let right = fibonacci(n - 2).await;
        left.await.unwrap() + right
    })
}

fn fib(n: usize) {
    two().block_on(async move {
        let watch = Stopwatch::start();
        let result = tokio::spawn(fibonacci(n)).await.unwrap();
        watch.report(1);
        let (mut a, mut b) = (0, 1);
        for _ in 0..n {
            (a, b) = (b, a + b);
        }
        assert_eq!(result, a);
    });
}

fn parked(n: usize) {
    let rt = two();
    let never = Arc::new(Semaphore::new(0));
    let up = Arc::new(Semaphore::new(0));
    stage("empty");
    for _ in 0..n {
        let (never, up) = (never.clone(), up.clone());
        rt.spawn(async move {
            up.add_permits(1);
            let _ = never.acquire().await;
        });
    }
    rt.block_on(async {
        for _ in 0..n {
            up.acquire().await.unwrap().forget();
        }
    });
    stage("parked");
    std::process::exit(0);
}

/// As bench/runtime/cold.h: a file of which nothing is in memory, without a name.
const COLD_PAGE: usize = 4096;
const COLD_PAGES: usize = 16384;
const COLD_TASKS: usize = 64;

extern "C" {
    fn posix_fadvise(fd: i32, offset: i64, len: i64, advice: i32) -> i32;
}

fn cold_open() -> std::io::Result<std::fs::File> {
    use std::os::unix::io::AsRawFd;
    let path = format!("/var/tmp/bench-cold-{}", std::process::id());
    let mut file = std::fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    let block = vec![b'c'; 1 << 20];
    for _ in 0..COLD_PAGES * COLD_PAGE / block.len() {
        file.write_all(&block)?;
    }
    file.sync_data()?;
    // RANDOM, DONTNEED
    for advice in [1, 4] {
        match unsafe { posix_fadvise(file.as_raw_fd(), 0, 0, advice) } {
            0 => (),
            error => return Err(std::io::Error::from_raw_os_error(error)),
        }
    }
    Ok(file)
}

/// Tokio's own way for files: each call on a thread of the blocking pool.
fn cold(n: usize) {
    use std::os::unix::fs::FileExt;
    if n > COLD_PAGES / COLD_TASKS {
        eprintln!("bench: cold: more reads than the file has pages");
        std::process::exit(1);
    }
    let file = Arc::new(cold_open().expect("a file in /var/tmp that can be read from the disk"));
    two().block_on(async move {
        let watch = Stopwatch::start();
        let all: Vec<_> = (0..COLD_TASKS)
            .map(|t| {
                let file = file.clone();
                tokio::spawn(async move {
                    for i in 0..n {
                        let file = file.clone();
                        let at = (t * n + i) * 7919 % COLD_PAGES * COLD_PAGE;
                        tokio::task::spawn_blocking(move || {
                            let mut page = [0; COLD_PAGE];
                            file.read_exact_at(&mut page, at as u64).unwrap();
                        })
                        .await
                        .unwrap();
                    }
                })
            })
            .collect();
        for t in all {
            t.await.unwrap();
        }
        watch.report(n * COLD_TASKS);
    });
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let n: usize = args.get(2).and_then(|a| a.parse().ok()).unwrap_or(0);
    if args.len() != 3 || n < 1 {
        eprintln!("usage: {} CASE N", args[0]);
        std::process::exit(2);
    }
    match args[1].as_str() {
        "yield" => yields(n),
        "spawn_join" => spawn_join(n),
        "channel" => channels(n),
        "mutex" => contend(one(), n, true),
        "mutex_2" => contend(two(), n, false),
        "timer" => timers(n),
        "timer_insert" => timer_insert(n),
        "timer_fire" => timer_fire(n),
        "skynet" => skynet(n),
        "fib" => fib(n),
        "parked" => parked(n),
        "cold" => cold(n),
        _ => std::process::exit(UNKNOWN_CASE),
    }
}
