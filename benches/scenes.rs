//! What the benches of the core measure: one small piece of work each, by name.
//!
//! This file decides which pieces there are. It must not know whether time or instructions are
//! counted: `core` and `instructions` do.

mod parts;
mod walks;
mod world;

/// One piece of work, repeated as often as it is called.
pub(crate) type Work = Box<dyn FnMut()>;

/// A piece of work that is set up only when it is asked for: one of them has 100,000 targets.
pub(crate) struct Scene {
    /// Its name: `area/what`.
    pub(crate) name: &'static str,
    /// Sets it up. What this costs is not measured.
    pub(crate) set_up: fn() -> Work,
}

/// Every scene, in the order of the walk.
pub(crate) const ALL: [Scene; 16] = [
    Scene { name: "framing/head", set_up: parts::framing },
    Scene { name: "contract/head", set_up: parts::contract_head },
    Scene { name: "form/parse", set_up: parts::form },
    Scene { name: "contract/body", set_up: parts::contract_body },
    Scene { name: "contract/all-checks", set_up: parts::contract_all },
    Scene { name: "limits/three-buckets", set_up: parts::limits },
    Scene { name: "route/10-targets", set_up: || parts::route(10) },
    Scene { name: "route/100000-targets", set_up: || parts::route(100_000) },
    Scene { name: "answer/fault", set_up: parts::fault },
    Scene { name: "record/line", set_up: parts::line },
    Scene { name: "walk/token", set_up: walks::token },
    Scene { name: "walk/revoke", set_up: walks::revoke },
    Scene { name: "walk/username", set_up: walks::username },
    Scene { name: "walk/no-correlation-id", set_up: walks::no_correlation_id },
    Scene { name: "walk/unknown-target", set_up: walks::unknown_target },
    Scene { name: "walk/rate-limited", set_up: walks::rate_limited },
];
