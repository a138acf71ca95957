//! CONTRACT 4.4, rows 11 and 13 to 16: which bank is meant, and whether it may be called.

use corgate::sim::bank::Bank;

use crate::ask::{Ask, BANK};
use crate::world::{Setup, World, bank};

/// A second bank beside the world's own, with these lines in its entry.
fn two_banks(lines: &str) -> (World, Bank) {
    let second = bank();
    let world = Setup::new().target_at("IIDX00002", second.address().port(), lines).start();
    (world, second)
}

over_both! {
    fn row_4_4_11_no_target_named_where_there_are_several(http) {
        let (world, second) = two_banks("");
        world
            .call(http, Ask::token().without("X-CorAPI-Target-ID"))
            .refused(400, "invalid_request", "X-CorAPI-Target-ID header is required")
            .logged("header_missing");
        world.bank_heard(0);
        assert!(second.requests().is_empty());
    }

    fn row_4_4_11_the_only_permitted_target_is_meant(http) {
        let second = bank();
        let world = Setup::new()
            .client("targets = [\"IIDX00002\"]")
            .target_at("IIDX00002", second.address().port(), "")
            .start();
        world.call(http, Ask::token().without("X-CorAPI-Target-ID")).good();
        assert_eq!(second.requests()[0].header("X-CorAPI-Target-ID"), Some("IIDX00002"));
        world.bank_heard(0);
    }

    fn row_4_4_11_the_default_target_is_meant(http) {
        let world = Setup::new()
            .client(&format!("targets = [\"*\"]\ndefault_target = \"{BANK}\""))
            .target_at("IIDX00002", 1, "")
            .start();
        world.call(http, Ask::token().without("X-CorAPI-Target-ID")).good();
        world.bank_heard(1);
    }

    fn row_4_4_13_an_unknown_target(http) {
        let world = World::new();
        world
            .call(http, Ask::token().bank("IIDX99999"))
            .refused(400, "invalid_request", "unknown X-CorAPI-Target-ID")
            .logged("target_unknown");
        world.bank_heard(0);
    }

    fn row_4_4_14_a_target_that_the_client_has_no_permission_for(http) {
        let second = bank();
        let world = Setup::new()
            .client(&format!("targets = [\"{BANK}\"]"))
            .target_at("IIDX00002", second.address().port(), "")
            .start();
        for ask in [Ask::token(), Ask::revoke()] {
            world
                .call(http, ask.bank("IIDX00002"))
                .refused(403, "unauthorized_client", "client is not permitted for this target")
                .logged("target_forbidden");
        }
        assert!(second.requests().is_empty());
    }

    fn row_4_4_15_a_suspended_target_can_be_revoked_at_and_nothing_else(http) {
        let (world, second) = two_banks("status = \"suspended\"");
        for ask in [Ask::token(), Ask::username()] {
            world
                .call(http, ask.bank("IIDX00002"))
                .refused(403, "unauthorized_client", "target is not available to clients")
                .logged("target_suspended");
        }
        world.call(http, Ask::revoke().bank("IIDX00002")).good();
        assert_eq!(second.requests().len(), 1);
    }

    fn row_4_4_15_a_target_that_is_being_set_up(http) {
        let (world, second) = two_banks("status = \"onboarding\"");
        for ask in [Ask::token(), Ask::revoke()] {
            world
                .call(http, ask.bank("IIDX00002"))
                .refused(403, "unauthorized_client", "target is not available to clients")
                .logged("target_suspended");
        }
        assert!(second.requests().is_empty());
    }

    fn row_4_4_16_a_target_in_maintenance(http) {
        let lines = "status = \"maintenance\"\nmaintenance_retry_after = \"90s\"";
        let (world, second) = two_banks(lines);
        world
            .call(http, Ask::token().bank("IIDX00002"))
            .refused(503, "temporarily_unavailable", "target is temporarily unavailable")
            .says("retry-after", "90")
            .logged("target_maintenance");
        assert!(second.requests().is_empty());
        world.call(http, Ask::token()).good();
    }

    fn a_call_that_the_bank_does_not_have_is_none_that_its_language_has(http) {
        let world = Setup::new().target("paths = { username = false, revoke = false }").start();
        world
            .call(http, Ask::username())
            .refused(404, "invalid_request", "target has no username validation")
            .logged("username_not_spoken");
        world
            .call(http, Ask::revoke())
            .refused(400, "unsupported_token_type", "target cannot revoke tokens")
            .logged("revoke_not_spoken");
        world.call(http, Ask::token()).good();
        world.bank_heard(1);
        let world = Setup::new().target("paths = { token = false }").start();
        world
            .call(http, Ask::token())
            .refused(400, "unsupported_grant_type", "target issues no tokens")
            .logged("grant_not_spoken");
        world.bank_heard(0);
    }
}
