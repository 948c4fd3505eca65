//! An address behind which a database server stands, for tests in which it is far away, or another one takes its place.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::{AbortHandle, JoinSet};

/// Passes on what clients and the server say to each other; it ends with the test.
pub(crate) struct Forwarder {
    address: SocketAddr,
    to: Arc<Mutex<Leads>>,
    listening: AbortHandle,
}

/// Where new connections lead, and those that stand.
struct Leads {
    server: Option<Server>,
    standing: JoinSet<()>,
}

#[derive(Clone)]
enum Server {
    Socket(PathBuf),
    Host(String, u16),
}

impl Server {
    fn of(options: &PgConnectOptions) -> Self {
        match options.get_socket() {
            Some(folder) => Self::Socket(folder.join(format!(".s.PGSQL.{}", options.get_port()))),
            None => Self::Host(options.get_host().to_owned(), options.get_port()),
        }
    }
}

impl Forwarder {
    /// To the server of this database. Whatever is said takes so much longer, each way.
    pub(crate) async fn to(options: &PgConnectOptions, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let to = Leads { server: Some(Server::of(options)), standing: JoinSet::new() };
        let to = Arc::new(Mutex::new(to));
        let listening = tokio::spawn(listen(listener, to.clone(), delay)).abort_handle();
        Self { address, to, listening }
    }

    /// The address of the database of that name, for this user.
    pub(crate) fn url(&self, options: &PgConnectOptions) -> String {
        let database = options.get_database().unwrap();
        format!("postgres://{}@{}/{database}", options.get_username(), self.address)
    }

    /// Where it listens on this machine.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Ends every connection; new ones find nobody.
    pub(crate) fn cut(&self) {
        let mut to = self.to.lock().unwrap();
        to.server = None;
        to.standing.abort_all();
    }

    /// New connections lead there.
    pub(crate) fn turn_to(&self, options: &PgConnectOptions) {
        self.to.lock().unwrap().server = Some(Server::of(options));
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.listening.abort();
        self.cut();
    }
}

async fn listen(listener: TcpListener, to: Arc<Mutex<Leads>>, delay: Duration) {
    while let Ok((client, _)) = listener.accept().await {
        let mut leads = to.lock().unwrap();
        if let Some(server) = leads.server.clone() {
            leads.standing.spawn(connect(client, server, delay));
        }
    }
}

async fn connect(client: TcpStream, server: Server, delay: Duration) {
    client.set_nodelay(true).unwrap();
    match server {
        Server::Socket(path) => {
            if let Ok(server) = UnixStream::connect(path).await {
                let (from_server, to_server) = server.into_split();
                pass(client, from_server, to_server, delay).await;
            }
        }
        Server::Host(host, port) => {
            if let Ok(server) = TcpStream::connect((host, port)).await {
                let (from_server, to_server) = server.into_split();
                pass(client, from_server, to_server, delay).await;
            }
        }
    }
}

/// Until one of both sides has ended.
async fn pass(
    client: TcpStream,
    from_server: impl AsyncRead + Unpin,
    to_server: impl AsyncWrite + Unpin,
    delay: Duration,
) {
    let (from_client, to_client) = client.into_split();
    tokio::select! {
        () = one_way(from_client, to_server, delay) => {}
        () = one_way(from_server, to_client, delay) => {}
    }
}

async fn one_way(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, delay: Duration) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
