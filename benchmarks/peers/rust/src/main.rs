//! peer STAGE BOOTSTRAP PREFIX INPUT_OR_OUTPUT ROWS: the work of Nacre by hand with librdkafka.
//!
//! STAGE: ingest, split, sink. For sink the fourth argument is OUTPUT:INPUT, as the header of the files is the input's.
//! Through rdkafka's bindings, many messages a call (rd_kafka_produce_batch, rd_kafka_consume_batch_queue).
//!
//! It does less than Nacre, as benchmarks/peers/__init__.py says. Recovery after a kill is untested: ingest records its
//! position, as Nacre does, but never reads it, so it starts again from the first row; split and sink resume at their
//! offsets, but still wait for the full number of rows.

// The C code of librdkafka takes this malloc too: it is allocations that it spends most on.
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod files;
mod native;
mod stages;

use std::time::Duration;

pub const COMMIT_INTERVAL: Duration = Duration::from_millis(100);
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

pub fn fail(what: impl std::fmt::Display) -> ! {
    eprintln!("peer: {what}");
    std::process::exit(1)
}

// librdkafka's own linger is the same, and its queue is of 100,000 messages; what else was tried is not noted.
pub fn producer_settings(bootstrap: &str, id: &str) -> Vec<(&'static str, String)> {
    vec![
        ("bootstrap.servers", bootstrap.into()),
        ("transactional.id", id.into()),
        ("transaction.timeout.ms", "60000".into()),
        ("compression.type", "none".into()),
        ("linger.ms", "5".into()),
        ("batch.size", "1000000".into()),
        ("batch.num.messages", "100000".into()),
        ("queue.buffering.max.messages", "200000".into()),
        ("queue.buffering.max.kbytes", "1048576".into()),
        ("socket.send.buffer.bytes", "4194304".into()),
        ("socket.nagle.disable", "true".into()),
        ("retry.backoff.ms", "2".into()),
        ("enable.metrics.push", "false".into()),
    ]
}

// librdkafka's own are 1 MiB of a partition and 100,000 messages ahead; what else was tried is not noted.
pub fn consumer_settings(bootstrap: &str, group: &str) -> Vec<(&'static str, String)> {
    vec![
        ("bootstrap.servers", bootstrap.into()),
        ("group.id", group.into()),
        ("isolation.level", "read_committed".into()),
        ("enable.auto.commit", "false".into()),
        ("enable.auto.offset.store", "false".into()),
        ("auto.offset.reset", "earliest".into()),
        ("fetch.min.bytes", "100000".into()),
        ("fetch.wait.max.ms", "20".into()),
        ("fetch.message.max.bytes", "4000000".into()),
        ("fetch.max.bytes", "50000000".into()),
        ("fetch.queue.backoff.ms", "2".into()),
        ("queued.min.messages", "300000".into()),
        ("queued.max.messages.kbytes", "1048576".into()),
        ("socket.receive.buffer.bytes", "4194304".into()),
        ("enable.metrics.push", "false".into()),
    ]
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, stage, bootstrap, prefix, path, rows] = &arguments[..] else {
        fail("usage: peer STAGE BOOTSTRAP PREFIX INPUT_OR_OUTPUT ROWS");
    };
    let rows: usize = rows.parse().unwrap_or_else(|error| fail(error));
    match stage.as_str() {
        "ingest" => stages::ingest(bootstrap, prefix, path, rows),
        "split" => stages::split(bootstrap, prefix, rows),
        "sink" => {
            let (output, input) = path.split_once(':').unwrap_or_else(|| fail("sink takes OUTPUT:INPUT"));
            stages::sink(bootstrap, prefix, output, input, rows)
        }
        _ => fail(format!("no stage {stage}")),
    }
}
