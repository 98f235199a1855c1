//! peer STAGE BOOTSTRAP PREFIX INPUT_OR_OUTPUT ROWS: the work of Nacre by hand with librdkafka.
//!
//! STAGE: ingest, split, sink. For sink the fourth argument is OUTPUT:INPUT, as the header of the files is the input's.
//! Through rdkafka's bindings, many messages a call (rd_kafka_produce_batch, rd_kafka_consume_batch_queue). It does less
//! than Nacre: a row is a line, nothing is rejected, no file has a checksum or a ledger, and what it does after a kill is
//! untested.

// The C code of librdkafka takes this malloc too: it is allocations that it spends most on.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod files;
mod native;
mod stages;

use std::time::Duration;

pub const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

pub fn commit_interval() -> Duration {
    static MS: std::sync::OnceLock<Duration> = std::sync::OnceLock::new();
    *MS.get_or_init(|| Duration::from_millis(number("PEER_COMMIT_MS", 100) as u64))
}

pub fn fail(what: impl std::fmt::Display) -> ! {
    eprintln!("peer: {what}");
    std::process::exit(1)
}

pub fn setting(name: &str, otherwise: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| otherwise.to_string())
}

pub fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

pub fn producer_settings(bootstrap: &str, id: &str) -> Vec<(&'static str, String)> {
    vec![
        ("bootstrap.servers", bootstrap.into()),
        ("transactional.id", id.into()),
        ("transaction.timeout.ms", "60000".into()),
        ("compression.type", "none".into()),
        ("linger.ms", setting("PEER_LINGER_MS", "5")),
        ("batch.size", "1000000".into()),
        ("batch.num.messages", "100000".into()),
        ("queue.buffering.max.messages", setting("PEER_QUEUE", "200000")),
        ("queue.buffering.max.kbytes", "1048576".into()),
        ("socket.send.buffer.bytes", "4194304".into()),
        ("socket.nagle.disable", "true".into()),
        ("retry.backoff.ms", "2".into()),
        ("enable.metrics.push", "false".into()),
    ]
}

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
        ("fetch.message.max.bytes", setting("PEER_FETCH_PART", "4000000")),
        ("fetch.max.bytes", "50000000".into()),
        ("fetch.queue.backoff.ms", "2".into()),
        ("queued.min.messages", setting("PEER_QUEUED", "300000")),
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
