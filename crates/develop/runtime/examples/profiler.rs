//! A checkout on several threads, and where its time went: `cargo run -p kandela-runtime --example profiler`.
//!
//! Writes `profile.speedscope.json` and `profile.collapsed` to the folder for temporary files.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use kandela_runtime::profiler::TracedProfiler;
use kandela_runtime::tracer::{SpanBuffer, Tracer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let profiler = TracedProfiler::new();
    let buffer = Arc::new(SpanBuffer::new(1024)?);
    let tracer = Tracer::new(buffer.clone());
    let customers: Vec<_> = (0..40)
        .map(|customer| {
            let checkout = checkout(customer, profiler.clone(), tracer.clone());
            tokio::spawn(profiler.trace("checkout").instrument(checkout))
        })
        .collect();
    for customer in customers {
        customer.await?;
    }

    let summary = profiler.trace_summary();
    println!("{summary}");
    println!("Own time, for flame graphs:\n{}", summary.collapsed());
    let folder = std::env::temp_dir();
    std::fs::write(folder.join("profile.speedscope.json"), summary.speedscope("checkout"))?;
    std::fs::write(folder.join("profile.collapsed"), summary.collapsed())?;
    println!("{0}/profile.speedscope.json opens in https://www.speedscope.app", folder.display());

    let spans = buffer.take(1024);
    println!("\nThe first of {} spans, {} dropped:", spans.len(), buffer.dropped());
    for span in spans.iter().take(3) {
        let micros = (span.end_unix_nano - span.start_unix_nano) / 1000;
        println!("  {} {:<8} {:<12} {micros:>6} µs", hex(&span.trace_id[..4]), span.service, span.name);
    }
    Ok(())
}

async fn checkout(customer: u64, profiler: TracedProfiler, tracer: Tracer) {
    let request = tracer.start_span(tracer.new_trace_id(), None, "shop", "POST /order");
    {
        // No await within: a guard will do.
        let _price = profiler.trace("price");
        for _ in 0..3 {
            let _discount = profiler.trace("discount");
            work(20_000);
        }
        work(10_000);
    }
    let charge = async {
        let _span = tracer.start_child(request.context(), "payment", "charge");
        tokio::time::sleep(Duration::from_millis(5 + customer % 7)).await;
        let _receipt = profiler.trace("receipt");
        work(5_000);
    };
    profiler.trace("pay").instrument(charge).await;
    // On another thread, and part of this all the same.
    let place = profiler.context();
    let packed = tokio::task::spawn_blocking(move || {
        let _pack = place.trace("pack");
        work(50_000);
    });
    let _ = packed.await;
}

/// Keeps the processor busy.
fn work(rounds: u64) {
    let mut sum = 0u64;
    for round in 0..rounds {
        sum = black_box(sum.wrapping_mul(31).wrapping_add(round));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
