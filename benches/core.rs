//! Times of the pure core, with criterion: no sockets, no runtime.
//!
//!     cargo bench --no-default-features --bench core [-- NAME]

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a bench that can't be set up has to stop"
)]

mod scenes;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

// The binary's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn core(criterion: &mut Criterion) {
    for scene in &scenes::ALL {
        // Set up only if it is going to be measured; dropped when it was.
        criterion.bench_function(scene.name, |bencher| {
            let mut work = (scene.set_up)();
            bencher.iter(&mut work);
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(50);
    targets = core
}
criterion_main!(benches);
