//! The metrics of what is remembered of tokens.

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Written;
use crate::dialect::told::Memory;

pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>, memory: &Memory) -> Written {
    let help = "Tokens and consents that are remembered, as hashes; at most 1,000,000.";
    let count = ConstGauge::new(i64::try_from(memory.len()).unwrap_or(i64::MAX));
    let kind = MetricType::Gauge;
    count.encode(encoder.encode_descriptor("tokens_remembered", help, None, kind)?)?;
    let help = "Those that were forgotten before their time, for want of room.";
    let count = ConstCounter::new(memory.evicted());
    let kind = MetricType::Counter;
    count.encode(encoder.encode_descriptor("tokens_evicted", help, None, kind)?)?;
    let help = "Changes of them that could not be written to `state_dir`.";
    let count = ConstCounter::new(memory.unwritten());
    let kind = MetricType::Counter;
    count.encode(encoder.encode_descriptor("tokens_unwritten", help, None, kind)?)
}
