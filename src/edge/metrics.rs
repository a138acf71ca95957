//! The metrics: what was counted, in OpenMetrics text.
//!
//! Made when somebody asks, from the workers' own counters. Every label is from a closed set or
//! from the table.

mod banks;
mod change;
mod tokens;

use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::hub::Hub;
use super::meters::{BUCKETS_US, Counts, HashMap, Histogram};
use super::process_log::COUNTS;
use crate::contract::Label;

type Written = Result<(), std::fmt::Error>;

/// Renders all metrics.
pub(super) fn render(hub: &std::sync::Arc<Hub>) -> String {
    let mut registry = Registry::with_prefix("corgate");
    registry.register_collector(Box::new(HubCollector(hub.clone())));
    let mut text = String::new();
    if prometheus_client::encoding::text::encode(&mut text, &registry).is_err() {
        // Writing to a string can't fail.
        text.clear();
    }
    text
}

#[derive(Debug)]
struct HubCollector(std::sync::Arc<Hub>);

impl Collector for HubCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Written {
        let hub = &self.0;
        let counts = hub.meters.counts();
        encode_answers(&mut encoder, &counts)?;
        for (name, help, histograms) in [
            ("exchange_seconds", "Whole exchanges, by call.", &counts.exchanges),
            ("provider_seconds", "The bank's part of exchanges, by call.", &counts.providers),
        ] {
            encode_histograms(&mut encoder, name, help, histograms)?;
        }
        encode_scoped(&mut encoder, "shadow", "Limits that would have refused.", &counts.shadows)?;
        let help = "Answers of banks that were odd and passed.";
        encode_scoped(&mut encoder, "oddities", help, &counts.oddities)?;
        let help = "Connections cut for what they did.";
        encode_scoped(&mut encoder, "connections_cut", help, &counts.cuts)?;
        encode_process(&mut encoder, hub)?;
        encode_workers(&mut encoder, hub)?;
        change::encode(&mut encoder, hub)?;
        let snapshot = hub.snapshot.load();
        tokens::encode(&mut encoder, &snapshot.memory)?;
        banks::encode(&mut encoder, &snapshot)
    }
}

fn encode_answers(encoder: &mut DescriptorEncoder<'_>, counts: &Counts) -> Written {
    let help = "Answers, by call, status, who made them, and the fault behind them.";
    let mut family = encoder.encode_descriptor("answers", help, None, MetricType::Counter)?;
    let mut kinds: Vec<_> = counts.answers.iter().collect();
    kinds.sort();
    for (kind, count) in kinds {
        let labels = [
            ("call", kind.call.as_ref().map_or("none", Label::as_str).to_owned()),
            ("status", kind.status.to_string()),
            ("source", kind.source.unwrap_or("none").to_owned()),
            ("fault", kind.fault.unwrap_or("none").to_owned()),
        ];
        ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn encode_histograms(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    histograms: &HashMap<Label, Histogram>,
) -> Written {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    let mut calls: Vec<_> = histograms.iter().collect();
    calls.sort_by_key(|(call, _)| *call);
    for (call, histogram) in calls {
        let bounds = BUCKETS_US.iter().map(|us| *us as f64 / 1e6).chain([f64::MAX]);
        let buckets: Vec<_> = bounds.zip(histogram.buckets).collect();
        let count = histogram.buckets.iter().sum();
        let sum = histogram.sum_us as f64 / 1e6;
        let labels = [("call", call.as_str())];
        family
            .encode_family(&labels)?
            .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
    }
    Ok(())
}

fn encode_scoped(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    counts: &HashMap<&'static str, u64>,
) -> Written {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    let mut kinds: Vec<_> = counts.iter().collect();
    kinds.sort();
    for (kind, count) in kinds {
        ConstCounter::new(*count).encode(family.encode_family(&[("kind", *kind)])?)?;
    }
    Ok(())
}

fn encode_process(encoder: &mut DescriptorEncoder<'_>, hub: &Hub) -> Written {
    let meters = &hub.meters;
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    for (name, help, count) in [
        ("connections", "Connections let in.", meters.sum(|m| &m.connections)),
        (
            "connections_refused",
            "Connections turned away at a limit.",
            meters.sum(|m| &m.connections_refused),
        ),
        ("handshakes", "TLS handshakes that ended well.", meters.sum(|m| &m.handshakes)),
        (
            "handshakes_resumed",
            "Those of them that resumed a session.",
            meters.sum(|m| &m.handshakes_resumed),
        ),
        (
            "handshakes_failed",
            "TLS handshakes that failed or took too long.",
            meters.sum(|m| &m.handshakes_failed),
        ),
        ("access_lines", "Access lines written.", load(&hub.log_counters.written)),
        ("access_lines_dropped", "Access lines lost.", load(&hub.log_counters.dropped)),
        ("log_lines", "Lines of the process log written.", load(&COUNTS.written)),
        ("log_lines_dropped", "Lines of the process log lost.", load(&COUNTS.dropped)),
        (
            "log_lines_repeated",
            "Lines of the process log left out, as they said the same again.",
            load(&COUNTS.repeated),
        ),
    ] {
        let counter = ConstCounter::new(count);
        counter.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
    }
    let open = ConstGauge::new(i64::try_from(hub.doors.open()).unwrap_or(i64::MAX));
    let help = "Connections that are open.";
    open.encode(encoder.encode_descriptor("connections_open", help, None, MetricType::Gauge)?)
}

fn encode_workers(encoder: &mut DescriptorEncoder<'_>, hub: &Hub) -> Written {
    let help = "Connections that a worker serves.";
    let mut family =
        encoder.encode_descriptor("worker_connections", help, None, MetricType::Gauge)?;
    for (worker, connections) in hub.hands.all().enumerate() {
        let open = ConstGauge::new(i64::try_from(connections).unwrap_or(i64::MAX));
        open.encode(family.encode_family(&[("worker", worker.to_string())])?)?;
    }
    Ok(())
}
