//! The API instances under load, each with a cache of its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use cache_aside::CachingService;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::api;
use crate::catalogue::Catalogue;
use crate::database::Database;
use crate::load::history::Node;
use crate::load::lookups::Lookups;

/// API nodes over one database, served over loopback by this process.
pub(crate) struct Fleet {
    pub(crate) database: Database,
    members: Vec<Member>,
}

struct Member {
    node: Node,
    address: SocketAddr,
    catalogue: Arc<Catalogue>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<io::Result<()>>,
}

impl Fleet {
    pub(crate) fn over(database: &Database) -> Self {
        Self { database: database.counted_apart(), members: Vec::new() }
    }

    /// Starts one more instance.
    pub(crate) async fn add(&mut self, cache: Option<CachingService>) -> io::Result<()> {
        let node = Node { number: self.members.len(), cached: cache.is_some() };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let catalogue = Arc::new(Catalogue::new(self.database.clone(), cache));
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            // A dropped sender means the same: stop.
            let _ = stopped.await;
        };
        let server = tokio::spawn(api::serve(listener, Arc::clone(&catalogue), stopped));
        self.members.push(Member { node, address, catalogue, stop, server });
        Ok(())
    }

    pub(crate) fn nodes(&self) -> Vec<(Node, SocketAddr)> {
        self.members.iter().map(|member| (member.node, member.address)).collect()
    }

    /// Cache look-ups so far, summed over the nodes.
    pub(crate) fn lookups(&self) -> Lookups {
        self.members.iter().filter_map(|member| member.catalogue.stats()).map(Lookups::from).sum()
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        for member in self.members {
            // The receiver is gone only if the server ended by itself; its result says why.
            let _ = member.stop.send(());
            member.server.await??;
            member.catalogue.shutdown().await;
        }
        Ok(())
    }
}
