//! Which products are asked for, in which order.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::Context;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Zipf};

use crate::load::PRODUCTS;

const ZIPF_EXPONENT: f64 = 0.99;
/// Any odd number that is no multiple of 5 shares no factor with 100,000, so multiplying by it permutes the products.
const SCATTER: u32 = 61_803;

/// A sequence of products, read from a position on and, past its end, from its start.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) description: String,
    products: Vec<u32>,
}

impl Workload {
    /// `length` independent draws; the same in every run.
    pub(crate) fn zipf(length: usize) -> anyhow::Result<Self> {
        let popularity = Zipf::new(f64::from(PRODUCTS), ZIPF_EXPONENT)?;
        let ranks = popularity.sample_iter(StdRng::seed_from_u64(1));
        let products = ranks.take(length).map(|rank| scattered(rank as u32 - 1)).collect();
        Ok(Self { description: format!("Zipf({ZIPF_EXPONENT}) over {PRODUCTS} products"), products })
    }

    /// The accesses of a trace. Its n-th new key stands for the n-th product of a fixed permutation, so distinct keys
    /// stay distinct products as long as there are enough, and the same key is always the same product.
    pub(crate) fn trace(path: &Path) -> anyhow::Result<Self> {
        let keys = read_keys(path).with_context(|| format!("cannot read the trace {}", path.display()))?;
        let mut ranks = HashMap::new();
        let mut products = Vec::with_capacity(keys.len());
        for key in keys {
            let next = ranks.len() as u32;
            products.push(scattered(*ranks.entry(key).or_insert(next)));
        }
        anyhow::ensure!(!products.is_empty(), "the trace {} is empty", path.display());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let description = format!(
            "{name}, {} accesses of {} keys, n-th new key to n-th product of a permutation",
            products.len(),
            ranks.len()
        );
        Ok(Self { description, products })
    }

    pub(crate) fn len(&self) -> usize {
        self.products.len()
    }

    pub(crate) fn slice(&self, start: usize, length: usize) -> Vec<u32> {
        (start..start + length).map(|position| self.products[position % self.products.len()]).collect()
    }
}

fn scattered(rank: u32) -> u32 {
    1 + (u64::from(rank) * u64::from(SCATTER) % u64::from(PRODUCTS)) as u32
}

fn read_keys(path: &Path) -> std::io::Result<Vec<u32>> {
    let mut bytes = Vec::new();
    lzma_rust2::XzReader::new(BufReader::new(File::open(path)?), true).read_to_end(&mut bytes)?;
    let (keys, _partial) = bytes.as_chunks::<4>();
    Ok(keys.iter().map(|key| u32::from_be_bytes(*key)).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn scattering_is_a_permutation_of_all_products() {
        let products: HashSet<u32> = (0..PRODUCTS).map(scattered).collect();
        assert_eq!(products.len(), PRODUCTS as usize);
        assert!(products.iter().all(|product| (1..=PRODUCTS).contains(product)));
    }

    #[test]
    fn a_slice_past_the_end_goes_on_from_the_start() {
        let workload = Workload { description: String::new(), products: vec![1, 2, 3] };
        assert_eq!(workload.slice(2, 3), [3, 1, 2]);
    }
}
