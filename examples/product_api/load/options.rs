//! The command line of `--load`.

use std::path::PathBuf;

/// What to replay, and how hard.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "With --load")]
pub(crate) struct Options {
    /// Access trace to replay: xz of big-endian 32-bit keys [default: Zipf(0.99) over all products].
    #[arg(long)]
    pub(crate) trace: Option<PathBuf>,
    /// Requests of each measured replay.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) requests: u32,
    /// Requests from the cold start to the measured replay, whose first part is measured as well.
    #[arg(long, default_value_t = 2_000_000)]
    pub(crate) warm_up: u32,
    /// Offered rate of the measured replays, in requests per second [default: 70 % of what the API serves uncached].
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// Keep-alive connections, and so the most requests at a time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) concurrency: u32,
    /// Clients that change products meanwhile: one change per 200 reads, of products that are being read.
    #[arg(long, default_value_t = 4)]
    pub(crate) writers: u32,
    /// Directory for the plots.
    #[arg(long, default_value = "target/product_api")]
    pub(crate) output: PathBuf,
}
