//! Recorded accesses.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::Context;

/// Accesses in order, each of a key numbered from 0 by first appearance.
pub(crate) struct Trace {
    pub(crate) name: String,
    pub(crate) accesses: Vec<u32>,
    pub(crate) keys: usize,
}

impl Trace {
    pub(crate) fn read(path: &Path, limit: usize) -> anyhow::Result<Self> {
        let open = || -> anyhow::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            lzma_rust2::XzReader::new(BufReader::new(File::open(path)?), true).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = open().with_context(|| format!("cannot read the trace {}", path.display()))?;
        let (words, rest) = bytes.as_chunks::<4>();
        anyhow::ensure!(
            rest.is_empty() && !words.is_empty(),
            "the trace {} has {} bytes, which is not a whole number of 32-bit keys",
            path.display(),
            bytes.len()
        );
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.split('.').next().unwrap_or_default().to_owned();
        Ok(Self::new(name, words.iter().take(limit).map(|word| u32::from_be_bytes(*word))))
    }

    pub(crate) fn new(name: String, keys: impl Iterator<Item = u32>) -> Self {
        let mut numbers: HashMap<u32, u32> = HashMap::new();
        let accesses = keys
            .map(|key| {
                let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
                *numbers.entry(key).or_insert(next)
            })
            .collect();
        Self { name, accesses, keys: numbers.len() }
    }

    /// A share of all keys, as a number of entries.
    pub(crate) fn share(&self, share: f64) -> usize {
        ((self.keys as f64 * share) as usize).max(1)
    }
}
