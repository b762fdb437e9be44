//! Requests for one permit, and what came of them.

use cache_machine_core::{Acquisition, PermitRequest};

/// A request for the only permit, without a lifetime, which waits.
pub(crate) const ONE: PermitRequest = PermitRequest { permits: 1, ttl_ms: 0, wait: true };

/// The token of a granted request.
pub(crate) fn token(acquired: Acquisition) -> u64 {
    match acquired {
        Acquisition::Granted(grant) => grant.token,
        other => panic!("{other:?}"),
    }
}

/// The ticket of a waiting request.
pub(crate) fn ticket(acquired: Acquisition) -> u64 {
    match acquired {
        Acquisition::Waiting(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}
