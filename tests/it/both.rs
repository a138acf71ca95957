//! Macros that give one test two names: a rule holds over HTTP/1.1 and over HTTP/2.
//!
//! This file decides how tests are named. It must not know what they test.

/// Runs each test over HTTP/1.1 (`name::h1`) and over HTTP/2 (`name::h2`).
macro_rules! over_both {
    ($(fn $name:ident($http:ident) $body:block)*) => {$(
        mod $name {
            use super::*;

            fn run($http: $crate::ask::Http) $body

            #[test]
            fn h1() {
                run($crate::ask::Http::One);
            }

            #[test]
            fn h2() {
                run($crate::ask::Http::Two);
            }
        }
    )*};
}

/// Rows of a contract table: what is asked, and status, `error`, fault in the log and
/// `error_description` of the refusal. No bank hears of any of them.
macro_rules! refused {
    (in $world:expr; $(
        $name:ident: $ask:expr => $status:literal $error:ident $fault:ident $sentence:literal;
    )*) => {
        over_both! {$(
            fn $name(http) {
                let world = $world;
                world
                    .call(http, $ask)
                    .refused($status, stringify!($error), $sentence)
                    .logged(stringify!($fault));
                world.bank_heard(0);
            }
        )*}
    };
}
