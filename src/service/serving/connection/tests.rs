//! In each test one limit is short and the others are an hour, so that what closes a connection is known without a clock.

use std::time::Duration;

use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::task::JoinHandle;

use super::*;
use crate::serving::ClientLimits;
use crate::serving::places::Places;

const SHORT: Duration = Duration::from_millis(60);
const LONG: Duration = Duration::from_secs(3600);

const LONG_LIMITS: ConnectionLimits = ConnectionLimits {
    client: ClientLimits {
        head_timeout: LONG,
        body_timeout: LONG,
        idle_timeout: LONG,
        head_limit_bytes: 8192,
    },
    body_bytes: 1000,
    all_bodies_bytes: 1000,
    connections: 2,
};

/// A server for connections in memory.
struct Server {
    places: Places,
    shared: ListenerState,
}

struct Client {
    stream: DuplexStream,
    serving: JoinHandle<()>,
}

fn server_with(client: ClientLimits) -> Server {
    server(ConnectionLimits { client, ..LONG_LIMITS })
}

fn server(limits: ConnectionLimits) -> Server {
    let router = Router::new()
        .route("/", get(async || "hello"))
        .route("/echo", post(async |body: String| body))
        .route("/large", get(async || "x".repeat(1 << 20)))
        .route("/never", get(async || std::future::pending::<()>().await));
    let shared = ListenerState { router, limits, stop: Stop::default() };
    Server { places: Places::new(limits), shared }
}

impl Server {
    async fn connect(&self) -> Client {
        let (stream, other_end) = tokio::io::duplex(4096);
        let place = self.places.take().await;
        let local = "127.0.0.1:1".parse().unwrap();
        Client { stream, serving: tokio::spawn(serve(other_end, local, place, self.shared.clone())) }
    }
}

impl Client {
    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Sends this again and again until the connection is closed.
    async fn drip(&mut self, text: &str) {
        while self.stream.write_all(text.as_bytes()).await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    }

    /// The answer to one request that ends in this.
    async fn answer(&mut self, end: &str) {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            let read = self.stream.read_buf(&mut text).await.unwrap();
            assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&text));
        }
    }

    /// Waits until the server closes the connection; returns what it still sent.
    async fn closed(&mut self) -> String {
        let mut text = Vec::new();
        let _ = self.stream.read_to_end(&mut text).await;
        String::from_utf8(text).unwrap()
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_closes_the_connection() {
    let server = server_with(ClientLimits { head_timeout: SHORT, ..LONG_LIMITS.client });
    let (mut silent, mut slow) = (server.connect().await, server.connect().await);

    slow.send("GET / HT").await;
    slow.drip("T").await;

    assert_eq!(silent.closed().await, "");
}

#[tokio::test]
async fn a_body_that_does_not_come_closes_the_connection() {
    let server = server_with(ClientLimits { body_timeout: SHORT, ..LONG_LIMITS.client });
    let mut client = server.connect().await;

    client.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n").await;
    client.drip("x").await;

    assert_eq!(client.closed().await, "");
}

#[tokio::test]
async fn requests_follow_each_other_until_the_client_is_silent() {
    let server = server_with(ClientLimits { idle_timeout: SHORT, ..LONG_LIMITS.client });
    let mut client = server.connect().await;

    for _ in 0..3 {
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        client.answer("hello").await;
    }

    assert_eq!(client.closed().await, "");
}

#[tokio::test]
async fn an_idle_connection_gets_the_time_of_a_head_only_when_one_begins() {
    let server = server_with(ClientLimits { head_timeout: SHORT, ..LONG_LIMITS.client });
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    client.answer("hello").await;

    tokio::time::sleep(SHORT * 3).await;
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    client.answer("hello").await;
    client.send("GET /").await;

    assert_eq!(client.closed().await, "");
}

#[tokio::test]
async fn an_answer_that_nobody_reads_closes_the_connection_and_one_that_takes_long_does_not() {
    let server = server_with(ClientLimits { idle_timeout: SHORT, ..LONG_LIMITS.client });
    let (mut reader, mut waiter) = (server.connect().await, server.connect().await);

    waiter.send("GET /never HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    reader.send("GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    reader.serving.await.unwrap();

    assert!(!waiter.serving.is_finished());
}

#[tokio::test]
async fn a_body_in_many_pieces_arrives_whole_and_what_is_too_large_is_refused() {
    let server = server(LONG_LIMITS);
    let (mut client, mut large) = (server.connect().await, server.connect().await);

    client.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for _ in 0..300 {
        client.send("1\r\nx\r\n").await;
    }
    client.send("0\r\n\r\n").await;
    // The last bytes may find the connection closed.
    let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: {}", "x".repeat(8192));
    let _ = large.stream.write_all(head.as_bytes()).await;

    client.answer(&"x".repeat(300)).await;
    assert!(large.closed().await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn a_newcomer_gets_the_place_of_the_client_that_we_waited_for_longest() {
    let server = server(LONG_LIMITS);
    let mut working = server.connect().await;
    working.send("GET /never HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let mut slow = server.connect().await;
    slow.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n").await;
    while server.places.evictable() > 1 {
        tokio::task::yield_now().await;
    }

    let mut newcomer = server.connect().await;
    newcomer.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    newcomer.answer("hello").await;

    assert_eq!(slow.closed().await, "");
    assert!(!working.serving.is_finished());
}

#[tokio::test]
async fn bodies_that_are_too_much_together_cost_the_one_that_we_waited_for_longest() {
    let server = server(LONG_LIMITS);
    let (mut slow, mut quick) = (server.connect().await, server.connect().await);
    slow.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n").await;
    slow.send(&"x".repeat(899)).await;
    while server.places.silent() > 1 {
        tokio::task::yield_now().await;
    }

    quick.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n").await;
    quick.send(&"y".repeat(900)).await;

    quick.answer(&"y".repeat(900)).await;
    assert_eq!(slow.closed().await, "");
}

#[tokio::test]
async fn after_the_stop_what_has_begun_is_answered_and_nothing_begins() {
    let server = server(LONG_LIMITS);
    let (mut silent, mut begun) = (server.connect().await, server.connect().await);
    begun.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    begun.answer("hello").await;
    begun.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhel").await;
    while server.places.silent() > 1 {
        tokio::task::yield_now().await;
    }

    server.shared.stop.begun.cancel();
    assert_eq!(silent.closed().await, "");
    begun.send("lo").await;
    let answered = begun.closed().await;

    assert!(answered.starts_with("HTTP/1.1 200") && answered.ends_with("hello"), "{answered}");
    server.places.all_free().await;
}
