//! Whether a target is open: to this client, and at all.
//!
//! This file decides which of a target's states refuses what. It must not know how a state came
//! about.

use std::time::Duration;

use super::Entropy;
use crate::callers::Caller;
use crate::contract::Operation;
use crate::fault::Fault;
use crate::routes::{Maintenance, TargetStatus};
use crate::snapshot::Route;

pub(super) fn check_target_is_open(
    caller: &Caller,
    operation: &Operation,
    route: &Route,
    clock: &impl Entropy,
) -> Result<(), Fault> {
    let target = &route.target;
    if !caller.client.targets.allows(&target.id) {
        return Err(Fault::TargetForbidden);
    }
    match target.status {
        TargetStatus::Active if target.maintenance.is_empty() => Ok(()),
        TargetStatus::Active => check_no_window(&target.maintenance, clock),
        TargetStatus::Suspended if operation.open_to_suspended => Ok(()),
        TargetStatus::Suspended | TargetStatus::Onboarding => Err(Fault::TargetSuspended),
        TargetStatus::Maintenance(wait) => Err(Fault::TargetMaintenance(wait)),
    }
}

/// Windows are the one thing here that the wall clock decides: they are written in its terms.
fn check_no_window(maintenance: &Maintenance, clock: &impl Entropy) -> Result<(), Fault> {
    let now = i64::try_from(clock.unix_seconds()).unwrap_or(i64::MAX);
    let left = |end: i64| Duration::from_secs(u64::try_from(end - now).unwrap_or(1));
    maintenance.end(now).map_or(Ok(()), |end| Err(Fault::TargetMaintenance(left(end))))
}
