//! The accept loop of one address.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};

use super::connection::{self, ListenerState};
use super::places::Places;
use super::{ConnectionLimits, Stop};

/// After an accept that failed: the machine is out of files or memory, and some connection will end.
const ACCEPT_AGAIN: Duration = Duration::from_millis(10);

/// Serves whoever connects until the stop begins, and then answers the requests that have begun.
pub(crate) async fn serve(listener: TcpListener, router: Router, limits: ConnectionLimits, stop: Stop) {
    let places = Places::new(limits);
    // Without its state set, a router would be built anew for each request.
    let shared = ListenerState { router: router.with_state(()), limits, stop: stop.clone() };
    let accepting = async {
        loop {
            let (stream, local) = next_connection(&listener, &places).await;
            let place = places.take().await;
            tokio::spawn(connection::serve(stream, local, place, shared.clone()));
        }
    };
    stop.begun.run_until_cancelled(accepting).await;
    drop(listener);
    places.all_free().await;
}

/// The next connection, with the address of ours that it reached.
async fn next_connection(listener: &TcpListener, places: &Places) -> (TcpStream, SocketAddr) {
    loop {
        match accept_once(listener).await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(error = %error, "Could not take a connection: {error}");
                places.evict_longest();
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

async fn accept_once(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, _) = listener.accept().await?;
    // An event of a stream leaves at once, and does not wait for the acknowledgement of the one before it.
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    Ok((stream, local))
}

/// The client has gone before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidInput, NotConnected};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | InvalidInput | NotConnected
    )
}
