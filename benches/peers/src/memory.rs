//! What an entry takes beside its key and value.

use allocation_counter::measure as counted;

use crate::data::Workload;
use crate::limits::Limits;
use crate::subjects;

pub(crate) fn measure(limits: &mut Limits) -> anyhow::Result<()> {
    let keys = Workload::UNIFORM.key_names();
    let text: usize = keys.iter().map(|key| key.len() + size_of::<u64>()).sum();
    let per_entry = |bytes: i64| (bytes - text as i64) as f64 / keys.len() as f64;
    let (mut ours, mut moka) = (None, None);
    let of_ours = per_entry(counted(|| ours = Some(subjects::ours(&keys))).bytes_current);
    let of_moka = per_entry(counted(|| moka = Some(subjects::moka(&keys))).bytes_current);
    println!(
        "\n### bytes an entry takes beside key and value\n\n| cache-aside | moka |\n|---|---|\n| {of_ours:.0} | {of_moka:.0} |"
    );
    limits.at_most("bytes an entry takes more than in moka", of_ours - of_moka, 96.0);
    drop((ours, moka));
    Ok(())
}
