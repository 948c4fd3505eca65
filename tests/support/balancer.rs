//! A balancer in front of several processes, as operators have one: it asks each for `/readyz` and gives new connections to those that are ready.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How often it asks.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// It ends with the test.
pub(crate) struct Balancer {
    address: SocketAddr,
    ready: Arc<Mutex<Vec<SocketAddr>>>,
    tasks: JoinSet<()>,
}

impl Balancer {
    /// Listens; who connects waits until somebody is ready.
    pub(crate) async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ready: Arc<Mutex<Vec<SocketAddr>>> = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, ready.clone()));
        Self { address, ready, tasks }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Another process behind it.
    pub(crate) fn add(&mut self, process: SocketAddr) {
        self.tasks.spawn(ask(process, self.ready.clone()));
    }

    /// How many are ready.
    pub(crate) fn ready(&self) -> usize {
        self.ready.lock().unwrap().len()
    }
}

async fn ask(process: SocketAddr, ready: Arc<Mutex<Vec<SocketAddr>>>) {
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(3)).build().unwrap();
    loop {
        let answer = http.get(format!("http://{process}/readyz")).send().await;
        let is_ready = answer.is_ok_and(|answer| answer.status().is_success());
        {
            let mut ready = ready.lock().unwrap();
            ready.retain(|other| *other != process);
            if is_ready {
                ready.push(process);
            }
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

async fn serve(listener: TcpListener, ready: Arc<Mutex<Vec<SocketAddr>>>) {
    let mut connections = JoinSet::new();
    for number in 0.. {
        let (mut client, _) = listener.accept().await.unwrap();
        let ready = ready.clone();
        connections.spawn(async move {
            let chosen = loop {
                let chosen = {
                    let ready = ready.lock().unwrap();
                    (!ready.is_empty()).then(|| ready[number % ready.len()])
                };
                match chosen {
                    Some(chosen) => break chosen,
                    None => tokio::time::sleep(ASK_EVERY).await,
                }
            };
            // It tries no other one: a process that is said to be ready must take what comes.
            if let Ok(mut process) = TcpStream::connect(chosen).await {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut process).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}
