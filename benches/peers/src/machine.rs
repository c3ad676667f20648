//! What was measured with, and when.

use std::process::Command;
use std::{fmt, fs, thread};

/// The crates whose versions are told.
const CRATES: [&str; 12] = [
    "moka",
    "quick_cache",
    "foyer-memory",
    "amalgam-cache",
    "cached",
    "multi-tier-cache",
    "hitbox",
    "hitbox-moka",
    "redis",
    "deadpool-redis",
    "fred",
    "tokio",
];

pub(crate) struct Machine {
    date: String,
    revision: String,
    processor: String,
    cores: usize,
    kernel: String,
    redis: String,
    rust: String,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let redis = said("redis-server", &["--version"]);
        Self {
            date: said("date", &["-u", "+%Y-%m-%d"]),
            revision: said("git", &["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty"]),
            processor: processor.map_or("unknown".to_owned(), |(_, model)| model.trim().to_owned()),
            cores: thread::available_parallelism().map_or(1, std::num::NonZero::get),
            kernel: said("uname", &["-sr"]),
            redis: redis.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or("unknown").to_owned(),
            rust: said("rustc", &["--version"]),
        }
    }
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok();
    let said = output.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    if said.trim().is_empty() { "unknown".to_owned() } else { said.trim().to_owned() }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { date, revision, processor, cores, kernel, redis, rust } = self;
        writeln!(f, "| | |\n|---|---|")?;
        writeln!(f, "| date | {date} |\n| revision | {revision} |\n| processor | {processor}, {cores} cores |")?;
        writeln!(
            f,
            "| system | {kernel} |\n| Redis | {redis}, on the same machine, over loopback |\n| compiler | {rust} |"
        )?;
        let versions: Vec<_> = CRATES.iter().map(|name| format!("{name} {}", version(name))).collect();
        writeln!(f, "| crates | {} |", versions.join(", "))
    }
}

/// The version that was built, by the lock file: of several the one that this package asks for, which is the newest.
fn version(name: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let of = |package: &'static str| {
        let rest = package.strip_prefix(&format!("name = \"{name}\"\nversion = \""))?;
        rest.split('"').next()
    };
    lock.split("[[package]]\n").filter_map(of).last().unwrap_or("unknown")
}
