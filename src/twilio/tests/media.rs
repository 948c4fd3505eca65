//! Media fetched from servers on this machine, hostile ones included.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use twilio::media::{MediaError, MediaLimits};

use crate::server::client;

/// A file that is not there, or not yet.
mod retries;

const FILE: &str = "/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1";

/// Given the path of a request and how many came before it.
type Answers = Arc<dyn Fn(&str, usize) -> Response + Send + Sync>;

/// Path and credentials of each request.
type Seen = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// A Twilio that answers as it is told and remembers what it was asked.
struct Server {
    address: SocketAddr,
    seen: Seen,
}

impl Server {
    async fn start(answers: impl Fn(&str, usize) -> Response + Send + Sync + 'static) -> Self {
        let seen = Seen::default();
        let state: (Seen, Answers) = (seen.clone(), Arc::new(answers));
        let router = Router::new().fallback(answer).with_state(state);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, seen }
    }

    /// Sends everybody there.
    async fn redirecting(location: String) -> Self {
        Self::start(move |_, _| redirect(&location)).await
    }

    fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn file_url(&self) -> String {
        format!("http://{}{FILE}", self.address)
    }

    fn paths(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|(path, _)| path.clone()).collect()
    }

    async fn fetch_error(&self, limits: &MediaLimits) -> MediaError {
        client(&self.base_url()).fetch_media(&self.file_url(), limits).await.unwrap_err()
    }
}

async fn answer(State((seen, answers)): State<(Seen, Answers)>, uri: Uri, headers: HeaderMap) -> Response {
    let credentials = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let before = {
        let mut seen = seen.lock().unwrap();
        seen.push((uri.path().to_owned(), credentials));
        seen.len() - 1
    };
    answers(uri.path(), before)
}

fn redirect(location: &str) -> Response {
    (StatusCode::TEMPORARY_REDIRECT, [("location", location)]).into_response()
}

/// A server that nobody may connect to.
struct Forbidden(std::net::TcpListener);

impl Forbidden {
    fn listen() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn base_url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    /// A connection that was made would be waiting here.
    fn is_untouched(&self) -> bool {
        self.0.accept().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

/// Reads a request, and hands over the connection to answer on.
async fn one_request() -> (String, tokio::task::JoinHandle<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let accepting = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        stream
    });
    (base_url, accepting)
}

fn limits() -> MediaLimits {
    MediaLimits {
        size_bytes: 1 << 20,
        timeout: Duration::from_secs(10),
        retry_every: Duration::from_millis(1),
        retry_for: Duration::ZERO,
    }
}

fn patient() -> MediaLimits {
    MediaLimits { retry_for: Duration::from_secs(5), ..limits() }
}

#[tokio::test]
async fn a_file_is_fetched_and_only_the_api_sees_the_credentials() {
    let server = Server::start(|path, _| match path {
        FILE => redirect("/cdn/1?Signature=x"),
        _ => ([("content-type", "Image/JPEG; x=Y")], "a picture").into_response(),
    })
    .await;

    let media = client(&server.base_url()).fetch_media(&server.file_url(), &limits()).await.unwrap();

    assert_eq!((media.content_type.as_str(), media.bytes.as_slice()), ("image/jpeg", &b"a picture"[..]));
    let seen = server.seen.lock().unwrap().clone();
    let credentials = Some("Basic QUMxOnNlY3JldA==".to_owned());
    assert_eq!(seen, [(FILE.to_owned(), credentials), ("/cdn/1".to_owned(), None)]);
}

#[tokio::test]
async fn a_file_that_the_api_serves_itself_is_fetched_too() {
    let server = Server::start(|_, _| Response::new("a file".into())).await;

    let base_url = format!("{}/twilio/", server.base_url());
    let url = format!("{}/twilio{FILE}", server.base_url());
    let media = client(&base_url).fetch_media(&url, &limits()).await.unwrap();

    assert_eq!((media.content_type.as_str(), media.bytes.as_slice()), ("", &b"a file"[..]));
}

#[tokio::test]
async fn another_host_and_another_account_are_refused_without_a_connection() {
    let (api, other) = (Forbidden::listen(), Forbidden::listen());
    let (at_api, at_other) = (api.base_url(), other.base_url());
    let urls = [
        format!("{at_other}{FILE}"),
        format!("{}@{}{FILE}", at_api, at_other.trim_start_matches("http://")),
        format!("{at_api}/2010-04-01/Accounts/AC2/Messages/MM1/Media/ME1"),
        format!("{at_api}/2010-04-01/Accounts/AC1/../AC2/Messages/MM1/Media/ME1"),
        format!("{at_api}/sandbox/cdn/1"),
        format!("{at_api}{FILE}#x"),
        "nonsense".to_owned(),
    ];

    for url in urls {
        let error = client(&at_api).fetch_media(&url, &patient()).await.unwrap_err();

        assert!(matches!(error, MediaError::Refused(_)), "{url} {error}");
    }
    assert!(api.is_untouched() && other.is_untouched());
}

#[tokio::test]
async fn a_redirect_to_another_place_is_refused_without_a_connection() {
    let forbidden = Forbidden::listen();
    let locations = [
        format!("{}/x?Signature=y", forbidden.base_url()),
        forbidden.base_url().replace("127.0.0.1", "localhost"),
        forbidden.base_url().replace("http:", "https:"),
        forbidden.base_url().replace("http:", ""),
        "http://10.0.0.1/x?Signature=y".to_owned(),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "https://evil.example/x?Signature=y".to_owned(),
        "http://mms.twiliocdn.com/x?Signature=y".to_owned(),
        "file:///etc/passwd".to_owned(),
    ];

    for location in locations {
        let server = Server::redirecting(location.clone()).await;

        let error = server.fetch_error(&patient()).await;

        assert!(matches!(error, MediaError::Refused(_)), "{location} {error}");
        assert!(!error.to_string().contains("Signature"), "{error}");
        assert_eq!(server.paths(), [FILE]);
    }
    assert!(forbidden.is_untouched());
}

#[tokio::test]
async fn redirects_are_followed_three_times() {
    let server = Server::start(|_, before| match before {
        3 => "a file".into_response(),
        _ => redirect("/again"),
    })
    .await;
    let circle = Server::redirecting("/again".to_owned()).await;

    let media = client(&server.base_url()).fetch_media(&server.file_url(), &limits()).await.unwrap();
    let error = circle.fetch_error(&patient()).await;

    assert_eq!(media.bytes, b"a file");
    assert!(matches!(error, MediaError::Refused(_)), "{error}");
    assert_eq!(circle.paths().len(), 4);
}

/// Sends a head and then 60 MB, piece by piece, until they are sent or nobody takes them. Returns how many bytes were taken.
async fn flood(mut stream: TcpStream, head: &str, piece: &[u8]) -> usize {
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut taken = 0;
    while taken < 60_000_000 && stream.write_all(piece).await.is_ok() {
        taken += piece.len();
    }
    taken
}

#[tokio::test]
async fn a_file_of_60_mb_is_refused_and_not_read() {
    let mut chunk = b"10000\r\n".to_vec();
    chunk.extend([b'x'; 0x10000]);
    chunk.extend(b"\r\n");
    let cases = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 60000000\r\n\r\n", vec![b'x'; 0x10000]),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", chunk),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", vec![b'x'; 0x10000]),
    ];

    for (head, piece) in cases {
        let (base_url, accepting) = one_request().await;
        let flooding = tokio::spawn(async move { flood(accepting.await.unwrap(), head, &piece).await });

        let error =
            client(&base_url).fetch_media(&format!("{base_url}{FILE}"), &patient()).await.unwrap_err();

        let MediaError::Refused(reason) = error else { panic!("{head} {error}") };
        assert!(reason.contains("larger than"), "{reason}");
        // What the system's buffers take is taken; the rest is not.
        let taken = flooding.await.unwrap();
        assert!(taken < 30_000_000, "{head} {taken}");
    }
}

#[tokio::test]
async fn a_file_that_is_as_large_as_the_limit_is_fetched() {
    let server = Server::start(|_, _| vec![b'x'; 1 << 20].into_response()).await;

    let media = client(&server.base_url()).fetch_media(&server.file_url(), &limits()).await.unwrap();
    let error = server.fetch_error(&MediaLimits { size_bytes: (1 << 20) - 1, ..limits() }).await;

    assert_eq!(media.bytes.len(), 1 << 20);
    assert!(matches!(error, MediaError::Refused(_)), "{error}");
}

#[tokio::test]
async fn a_compressed_file_is_not_unpacked() {
    // An empty file, as gzip has it.
    const GZIP: &[u8] = &[31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let server = Server::start(|_, _| ([("content-encoding", "gzip")], GZIP).into_response()).await;

    let media = client(&server.base_url()).fetch_media(&server.file_url(), &limits()).await.unwrap();

    assert_eq!(media.bytes, GZIP);
}

#[tokio::test]
async fn a_slow_drip_ends_at_the_timeout() {
    let (base_url, accepting) = one_request().await;
    tokio::spawn(async move {
        let mut stream = accepting.await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await.unwrap();
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while stream.write_all(b"x").await.is_ok() {
            ticks.tick().await;
        }
    });
    let begun = Instant::now();

    let limits = MediaLimits { timeout: Duration::from_millis(300), ..patient() };
    let error = client(&base_url).fetch_media(&format!("{base_url}{FILE}"), &limits).await.unwrap_err();

    assert!(matches!(error, MediaError::Failed(_)), "{error}");
    assert!(begun.elapsed() >= Duration::from_millis(300));
}
