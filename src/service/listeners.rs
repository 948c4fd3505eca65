//! The addresses that the process listens on, and what is served on each.

use std::net::SocketAddr;

use axum::Router;
use store::processes::Role;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::config::keys::Keys;
use crate::http::hosts::{self, Hosts};
use crate::http::{openapi, strays};
use crate::serving::{ConnectionLimits, Stop, files, listener};

/// Files that are open beside connections, the database's and the ones of running jobs: logs, listeners, schedules, the sandbox.
const OTHER_FILES: u64 = 64;

/// What has come of all bodies on an address together: thousands of webhooks, or hundreds of the largest.
const ALL_BODIES_BYTES: usize = 16 << 20;

/// Open, but nobody is answered yet. What has no address of its own shares the one of the webhooks.
pub(crate) struct Listeners {
    public: Option<TcpListener>,
    dashboard: Option<TcpListener>,
    private: Option<TcpListener>,
}

/// Where the process listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Webhooks, and what has no other address; `None`: nothing is served there.
    pub public: Option<SocketAddr>,
    /// People's dashboard; `None`: it has no address of its own.
    pub dashboard: Option<SocketAddr>,
    /// Programs and administrators; `None`: they share the first one.
    pub private: Option<SocketAddr>,
}

/// What is served.
pub(crate) struct Routes {
    /// Twilio's; `None`: this process is no receiver.
    pub(crate) webhooks: Option<Router>,
    /// Operators'; on every address, since each may have a balancer in front.
    pub(crate) health: Router,
    /// Prometheus's; on the private address, or else on the one of the webhooks.
    pub(crate) metrics: Router,
    /// Programs' and administrators'; `None`: this process is no console.
    pub(crate) private: Option<Router>,
    /// People's; `None`: this process serves no dashboard.
    pub(crate) dashboard: Option<Router>,
}

impl Listeners {
    /// Opens the addresses that this process needs: a process without webhooks has its health routes at the private address, or else where the
    /// webhooks would be.
    pub(crate) async fn bind(config: &Config) -> anyhow::Result<Self> {
        let (server, roles) = (&config.keys.server, &config.roles);
        let public =
            Some(server.listen).filter(|_| roles.has(Role::Receiver) || server.private_listen.is_none());
        Ok(Self {
            public: bind_if_given(public).await?,
            dashboard: bind_if_given(server.dashboard_listen.filter(|_| roles.has(Role::Console))).await?,
            private: bind_if_given(server.private_listen).await?,
        })
    }

    pub(crate) fn addresses(&self) -> std::io::Result<Addresses> {
        let of = |listener: &Option<TcpListener>| listener.as_ref().map(TcpListener::local_addr).transpose();
        Ok(Addresses {
            public: of(&self.public)?,
            dashboard: of(&self.dashboard)?,
            private: of(&self.private)?,
        })
    }

    /// Serves until the stop has begun, and then answers the requests that have.
    pub(crate) fn serve(self, config: &Config, routes: Routes, stop: Stop) -> JoinHandle<()> {
        let Routes { webhooks, health, metrics, private, dashboard } = routes;
        let hosts = Hosts::new(&config.hosts);
        let mut public = webhooks.unwrap_or_default().merge(health.clone());
        let mut served = Vec::new();
        let (server, guarded) = (&config.keys.server, |routes| hosts::guarded(routes, hosts.clone()));
        // What has no address of its own shares the one of the webhooks, and the files of all pages.
        let mut shared = None;
        match self.private {
            Some(listener) => {
                let private = metrics.merge(guarded(private.map(with_files).unwrap_or_default()));
                served.push((listener, health.clone().merge(private), server.private_connections));
            }
            None => {
                public = public.merge(metrics);
                shared = Some(private.unwrap_or_default());
            }
        }
        match (self.dashboard, dashboard) {
            (Some(listener), dashboard) => {
                let dashboard = guarded(dashboard.map(with_files).unwrap_or_default());
                served.push((listener, health.merge(dashboard), server.dashboard_connections));
            }
            (None, Some(dashboard)) => shared = Some(shared.unwrap_or_default().merge(dashboard)),
            (None, None) => {}
        }
        if let Some(shared) = shared {
            public = public.merge(guarded(with_files(shared)));
        }
        if let Some(listener) = self.public {
            served.push((listener, strays::told(public), server.connections));
        }
        let wanted = served.iter().map(|(_, _, connections)| *connections).collect();
        let shares = within(wanted, files_left(config, files::raise_limit()));
        let serving = served.into_iter().zip(shares).map(|((listener, router, _), connections)| {
            listener::serve(listener, router, limits(&config.keys, connections), stop.clone())
        });
        let serving: Vec<_> = serving.collect();
        tokio::spawn(async { drop(futures::future::join_all(serving).await) })
    }
}

/// Routes of pages, with the files that these load.
fn with_files(routes: Router) -> Router {
    routes.merge(pages::routes(&[pages::STYLE, pages::SCRIPT]))
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "; another process listens there: end it, or say another address by --listen or in server.*listen"
            }
            _ => "",
        };
        anyhow::anyhow!("cannot listen on {address}: {error}{remedy}")
    })
}

async fn bind_if_given(address: Option<SocketAddr>) -> anyhow::Result<Option<TcpListener>> {
    match address {
        Some(address) => bind(address).await.map(Some),
        None => Ok(None),
    }
}

fn limits(keys: &Keys, connections: usize) -> ConnectionLimits {
    let server = &keys.server;
    let body_bytes = server.body_limit_bytes.max(openapi::BODY_LIMIT_BYTES);
    ConnectionLimits {
        client: server.client,
        body_bytes,
        all_bodies_bytes: ALL_BODIES_BYTES.max(4 * body_bytes),
        connections,
    }
}

/// How many files are left for connections; a job needs one for its call of Twilio or the agent.
fn files_left(config: &Config, files: Option<u64>) -> Option<usize> {
    let database = &config.keys.database;
    let connections = [
        database.receiver_connections,
        database.worker_connections,
        database.queue_connections,
        database.api_connections,
    ];
    let jobs: usize = config.keys.pools.named().iter().map(|(_, pool)| pool.concurrency).sum();
    let needed = connections.iter().map(|number| u64::from(*number)).sum::<u64>() + jobs as u64 + OTHER_FILES;
    files.map(|files| usize::try_from(files.saturating_sub(needed)).unwrap_or(usize::MAX))
}

/// The wanted numbers of connections, made smaller in proportion where the files do not suffice.
fn within(wanted: Vec<usize>, left: Option<usize>) -> Vec<usize> {
    let total: usize = wanted.iter().fold(0, |total, wanted| total.saturating_add(*wanted));
    let Some(left) = left.filter(|left| *left < total) else { return wanted };
    tracing::warn!(
        "This process may open too few files for {total} connections; it takes {left}: raise the limit of open files (ulimit -n), or lower server.connections"
    );
    wanted.into_iter().map(|wanted| (wanted as u128 * left as u128 / total as u128).max(1) as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_shared_out_in_proportion_when_files_are_few() {
        assert_eq!(within(vec![1000, 500, 500], None), [1000, 500, 500]);
        assert_eq!(within(vec![1000, 500, 500], Some(2000)), [1000, 500, 500]);
        assert_eq!(within(vec![1000, 500, 500], Some(800)), [400, 200, 200]);
        assert_eq!(within(vec![1000, 10], Some(20)), [19, 1]);
        assert_eq!(within(vec![5, 5], Some(0)), [1, 1]);
    }
}
