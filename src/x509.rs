//! X.509 as far as the hub reads it itself: certificates, revocation lists, names, PEM, and which
//! certificates of a peer can lead to an anchor at all.
//!
//! Paths are verified by `webpki`. What it leaves to its caller is here: that a stranger's chain
//! costs little before anything is verified, that revocation is looked up in an index, and that a
//! file which does not hold what it should is told by what it does hold. Everything reads bytes
//! that others made, never panics, and costs a constant times their length.

mod certificate;
mod der;
mod name;
mod path;
mod pem;
mod revocation_list;
mod validity;

pub use self::certificate::Certificate;
pub use self::der::NotDer;
pub use self::name::canonical;
pub use self::path::{Chain, ChainFault, Path, SubjectIndex};
pub use self::pem::{Wanted, check as check_pem};
pub use self::revocation_list::{ListFault, RevocationList, Scope, Signed};
