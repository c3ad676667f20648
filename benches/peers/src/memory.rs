//! What an entry takes beside its key and value.

use allocation_counter::measure as counted;

use crate::caches::{ALL, ASIDE, MOKA, Peer};
use crate::data::Workload;
use crate::plots::figure;
use crate::report::{Report, Section};

pub(crate) fn measure(report: &mut Report) -> anyhow::Result<()> {
    let measured: Vec<(&str, f64)> =
        ALL.iter().map(|peer| Ok((peer.name, bytes_per_entry(peer)?))).collect::<anyhow::Result<_>>()?;
    let of = |name| measured.iter().find(|(known, _)| *known == name).map_or(f64::NAN, |(_, bytes)| *bytes);
    report.at_most("bytes an entry takes in L1 more than in moka", of(ASIDE) - of(MOKA), 96.0);
    let row =
        |(name, bytes): &(&str, f64)| vec![(*name).to_owned(), format!("{:+.0}", bytes - of(MOKA)), figure(*bytes)];
    report.add(Section {
        title: "Memory of an entry".to_owned(),
        text: "What is allocated for 100,000 entries, each of them a key of about 19 bytes and a value of 8, beside key and \
            value; tables are as large as the room for twice the entries makes them."
            .to_owned(),
        columns: ["", "bytes more than moka", "bytes beside key and value"].map(str::to_owned).to_vec(),
        rows: measured.iter().map(row).collect(),
        plot: None,
    });
    Ok(())
}

fn bytes_per_entry(peer: &Peer) -> anyhow::Result<f64> {
    let keys = Workload::UNIFORM.key_names();
    let text: usize = keys.iter().map(|key| key.len() + size_of::<u64>()).sum();
    let mut filled = None;
    let bytes = counted(|| filled = Some((peer.fill)(keys.clone()))).bytes_current;
    if let Some(filled) = filled {
        filled?;
    }
    Ok((bytes - text as i64) as f64 / keys.len() as f64)
}
