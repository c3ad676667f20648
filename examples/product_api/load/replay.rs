//! Replays requests against the fleet and measures the responses.
//!
//! With an offered rate, requests are due at random (Poisson) moments that do not depend on the responses, and response
//! times count from these moments: a server that falls behind cannot slow its clients down and look better for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Exp};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::database::Database;
use crate::load::client::Connection;
use crate::load::history::{History, Node, Read};
use crate::load::writer::Writer;

const READS_PER_WRITE: usize = 200;
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
const QUEUE: usize = 1_024;
const LONGEST_MICROS: u64 = 120_000_000;

/// Where requests go, and by how many clients.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) nodes: Vec<(Node, SocketAddr)>,
    /// The fleet's handle, for its count of queries.
    pub(crate) database: Database,
    /// A handle that is not part of that count, to learn the right answers with.
    pub(crate) auditor: Database,
    pub(crate) concurrency: usize,
    pub(crate) writers: usize,
    /// The moment that all times of the history count from.
    pub(crate) started: Instant,
}

/// What to replay.
pub(crate) struct Load {
    pub(crate) products: Vec<u32>,
    /// Requests per second; without one, every connection sends its next request as soon as it has its response.
    pub(crate) rate: Option<f64>,
}

/// What came of it.
pub(crate) struct Replay {
    /// In microseconds.
    pub(crate) response_times: Histogram<u64>,
    pub(crate) elapsed: Duration,
    pub(crate) queries: u64,
    /// The queries so far, at moments after the start.
    pub(crate) samples: Vec<(Duration, u64)>,
    pub(crate) history: History,
}

struct Arrival {
    product: u32,
    due: Option<Instant>,
}

impl Replay {
    fn new() -> anyhow::Result<Self> {
        let (response_times, history) = (new_histogram()?, History::default());
        Ok(Self { response_times, elapsed: Duration::ZERO, queries: 0, samples: Vec::new(), history })
    }

    fn absorb(&mut self, user: User) -> anyhow::Result<()> {
        self.response_times.add(&user.response_times)?;
        self.history.reads.extend(user.reads);
        Ok(())
    }

    pub(crate) fn throughput(&self) -> f64 {
        self.response_times.len() as f64 / self.elapsed.as_secs_f64()
    }

    pub(crate) fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.response_times.value_at_quantile(quantile))
    }
}

/// Runs `load`. The clients have a thread of their own, so that they do not queue behind the server's tasks.
pub(crate) async fn replay(site: &Site, load: Load, progress: &ProgressBar) -> anyhow::Result<Replay> {
    let (site, progress) = (site.clone(), progress.clone());
    let clients = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(run(site, load, progress))
    };
    tokio::task::spawn_blocking(clients).await?
}

async fn run(site: Site, load: Load, progress: ProgressBar) -> anyhow::Result<Replay> {
    let (changes, mut writers) = start_writers(&site).await?;
    let (arrivals, queue) = mpsc::channel(QUEUE);
    let queue = Arc::new(Mutex::new(queue));
    let mut users = JoinSet::new();
    for index in 0..site.concurrency {
        let user = User::connect(&site, index, progress.clone()).await?;
        users.spawn(user.run(Arc::clone(&queue)));
    }
    let (begin, queries_before) = (Instant::now(), site.database.queries());
    let pacer = thread::spawn(move || pace(&load, &arrivals, &changes));
    let mut sampling = tokio::time::interval(SAMPLE_EVERY);
    sampling.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut replay = Replay::new()?;
    loop {
        tokio::select! {
            _ = sampling.tick() => replay.samples.push((begin.elapsed(), site.database.queries() - queries_before)),
            user = users.join_next() => match user {
                Some(user) => replay.absorb(user??)?,
                None => break,
            },
        }
    }
    replay.elapsed = begin.elapsed();
    while let Some(written) = writers.join_next().await {
        replay.history.append(written??);
    }
    replay.queries = site.database.queries() - queries_before;
    pacer.join().map_err(|_| anyhow::anyhow!("the thread that paces the requests panicked"))?;
    Ok(replay)
}

/// The senders that hand products to the writers, and the writers.
type Writers = (Vec<mpsc::UnboundedSender<u32>>, JoinSet<anyhow::Result<History>>);

async fn start_writers(site: &Site) -> anyhow::Result<Writers> {
    let (mut changes, mut writers) = (Vec::new(), JoinSet::new());
    for _ in 0..site.writers {
        let (sender, products) = mpsc::unbounded_channel();
        changes.push(sender);
        writers.spawn(Writer::connect(site.clone()).await?.run(products));
    }
    Ok((changes, writers))
}

/// Hands out the requests when they are due, and every so often has the product that was just asked for changed.
fn pace(load: &Load, arrivals: &mpsc::Sender<Arrival>, changes: &[mpsc::UnboundedSender<u32>]) {
    let mut random = StdRng::seed_from_u64(2);
    let gaps = load.rate.and_then(|rate| Exp::new(rate).ok());
    let mut due = Instant::now();
    for (position, &product) in load.products.iter().enumerate() {
        if let Some(gaps) = &gaps {
            due += Duration::from_secs_f64(gaps.sample(&mut random));
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        if arrivals.blocking_send(Arrival { product, due: gaps.map(|_| due) }).is_err() {
            return;
        }
        if position % READS_PER_WRITE == 0 && !changes.is_empty() {
            // A writer that failed has dropped its end; its error ends the run.
            let _ = changes[product as usize % changes.len()].send(product);
        }
    }
}

/// One keep-alive connection and what it measured.
struct User {
    node: Node,
    connection: Connection,
    started: Instant,
    progress: ProgressBar,
    response_times: Histogram<u64>,
    reads: Vec<Read>,
}

impl User {
    async fn connect(site: &Site, index: usize, progress: ProgressBar) -> anyhow::Result<Self> {
        let (node, address) = site.nodes[index % site.nodes.len()];
        let connection = Connection::open(address).await?;
        let (response_times, reads) = (new_histogram()?, Vec::new());
        Ok(Self { node, connection, started: site.started, progress, response_times, reads })
    }

    async fn run(mut self, queue: Arc<Mutex<mpsc::Receiver<Arrival>>>) -> anyhow::Result<Self> {
        while let Some(arrival) = next(&queue).await {
            let sent = self.started.elapsed();
            let page = self.connection.get(arrival.product).await?;
            let received = self.started.elapsed();
            let due = arrival.due.map_or(sent, |due| due.saturating_duration_since(self.started));
            self.response_times.saturating_record((received - due.min(received)).as_micros() as u64);
            anyhow::ensure!(page.product == arrival.product, "a response for another product");
            self.reads.push(Read { page, node: self.node, sent, received });
            self.progress.inc(1);
        }
        Ok(self)
    }
}

async fn next(queue: &Mutex<mpsc::Receiver<Arrival>>) -> Option<Arrival> {
    queue.lock().await.recv().await
}

fn new_histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LONGEST_MICROS, 3)?)
}
