//! Files that turn out to be damaged in the middle of an answer.

use kandela_lake::Lake;
use tokio::runtime::Handle;

/// Has damaged files put aside, so that the next request does without them. To be called on a thread of the runtime's.
pub(super) fn put_aside_later(lake: &Lake) {
    let lake = lake.clone();
    Handle::current().spawn(async move {
        // What fails here is met again by the next reader.
        let _ = lake.put_damaged_aside().await;
    });
}
