//! The metrics of change: reloads, what was set aside, who was shown out, what ends when.

use std::collections::BTreeMap;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Written;
use crate::edge::hub::Hub;
use crate::edge::standing::Now;
use crate::edge::unix_now;

pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>, hub: &Hub) -> Written {
    let standing = &hub.standing;
    let Now { good_at, aside, waiting, papers } = &*standing.now();
    for (name, help, label, counts) in [
        ("reloads", "Reloads, by how they ended.", "outcome", standing.reloads()),
        ("clients_out", "Connections ended as their client was out.", "reason", standing.ended()),
    ] {
        encode_counts(encoder, name, help, label, &counts)?;
    }
    let targets: usize = aside.iter().map(|aside| aside.targets.len()).sum();
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let generation = i64::try_from(standing.generation()).unwrap_or(i64::MAX);
    for (name, help, value) in [
        ("generation", "How often a table was taken up, the start included.", generation),
        ("last_good_reload_timestamp_seconds", "When the files were last found good.", *good_at),
        ("files_set_aside", "Files that were set aside.", count(aside.len())),
        (
            "targets_quarantined",
            "Banks served by their last good entry or certificates.",
            count(targets),
        ),
        ("keys_waiting", "Keys that wait for a new process.", count(waiting.len())),
    ] {
        let gauge = ConstGauge::new(value);
        gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
    }
    let (name, help) = ("certificate_left_seconds", "How long a certificate or list is good.");
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    let now = unix_now();
    for (paper, end) in papers.ending_first() {
        let labels = [("role", paper.role.to_owned()), ("file", paper.file.display().to_string())];
        ConstGauge::new(end.saturating_sub(now)).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn encode_counts(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    counts: &BTreeMap<&'static str, u64>,
) -> Written {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (value, count) in counts {
        ConstCounter::new(*count).encode(family.encode_family(&[(label, *value)])?)?;
    }
    Ok(())
}
