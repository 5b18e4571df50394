// SPDX-License-Identifier: MIT

//! A Tokio task for each client, on one worker thread. Code that blocks blocks its thread: Tokio asks its
//! users to move such code elsewhere by hand. echo_tokio SIZE

use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const STALL: Duration = Duration::from_millis(1);

fn thread_cpu() -> Duration {
    // the first word is the thread's time on a CPU, in ns
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn stall(kind: u8) {
    match kind {
        1 => {
            let end = thread_cpu() + STALL;
            while thread_cpu() < end {}
        }
        2 => std::thread::sleep(STALL),
        _ => {}
    }
}

async fn serve(mut client: TcpStream, size: usize) {
    let mut message = vec![0u8; size];
    while client.read_exact(&mut message).await.is_ok() {
        stall(message[0]);
        if client.write_all(&message).await.is_err() {
            return;
        }
    }
}

fn main() {
    let size: usize = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    if size < 1 || size > 65536 {
        eprintln!("usage: echo_tokio SIZE");
        std::process::exit(2);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("port\t{}", listener.local_addr().unwrap().port());
        tokio::spawn(async {
            let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
            term.recv().await;
            std::process::exit(0);
        });
        loop {
            let (client, _) = listener.accept().await.unwrap();
            client.set_nodelay(true).unwrap();
            tokio::spawn(serve(client, size));
        }
    });
}
