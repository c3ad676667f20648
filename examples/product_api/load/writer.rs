//! Clients that change products while others read them.

use std::collections::HashSet;

use anyhow::ensure;
use rand::RngExt;
use tokio::sync::mpsc;

use crate::load::client::{Connection, expected};
use crate::load::history::{History, Node, Write};
use crate::load::replay::Site;
use crate::product::ProductChange;

/// One writer. No two of them are given the same product, so a product's versions are written one after the other.
pub(crate) struct Writer {
    site: Site,
    connections: Vec<(Node, Connection)>,
    seen: HashSet<u32>,
    history: History,
}

impl Writer {
    pub(crate) async fn connect(site: Site) -> anyhow::Result<Self> {
        let mut connections = Vec::new();
        for (node, address) in &site.nodes {
            connections.push((*node, Connection::open(*address).await?));
        }
        Ok(Self { site, connections, seen: HashSet::new(), history: History::default() })
    }

    /// Changes each of the products, through one node after the other, until there are no more.
    pub(crate) async fn run(mut self, mut products: mpsc::UnboundedReceiver<u32>) -> anyhow::Result<History> {
        let mut turn = 0;
        while let Some(product) = products.recv().await {
            self.learn_first_version(product).await?;
            self.write(product, turn).await?;
            turn = (turn + 1) % self.connections.len();
        }
        Ok(self.history)
    }

    async fn learn_first_version(&mut self, product: u32) -> anyhow::Result<()> {
        if self.seen.insert(product) {
            self.history.learn(expected(&self.site.auditor.page(product).await?)?);
        }
        Ok(())
    }

    async fn write(&mut self, product: u32, turn: usize) -> anyhow::Result<()> {
        let (node, connection) = &mut self.connections[turn];
        let change = random_change();
        let sent = self.site.started.elapsed();
        let version = connection.put(product, &change).await?;
        let returned = self.site.started.elapsed();
        self.history.writes.push(Write { product, version, node: *node, sent, returned });
        let page = self.site.auditor.page(product).await?;
        ensure!(
            page.version == version,
            "product {product} is at version {}, yet its writer wrote {version}",
            page.version
        );
        self.history.learn(expected(&page)?);
        Ok(())
    }
}

fn random_change() -> ProductChange {
    let mut random = rand::rng();
    ProductChange {
        name: format!("Changed product {:08x}", random.random::<u32>()),
        euro_cents: random.random_range(99..99_999),
        available: random.random_range(0..500),
    }
}
