import java.time.Duration;
import java.util.Arrays;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;

/**
 * Kafka Streams: rows to their category's key, with exactly-once processing. It prints the rate of its own rows, and
 * ends when that many are committed. Arguments: bootstrap, prefix, rows, state folder.
 *
 * <p>It does less than Nacre, as benchmarks/peers/__init__.py says. Recovery after a kill is untested: it resumes at its
 * offsets, but still waits for the full number of rows.
 */
public final class Split {
    private final long rows;
    private final CountDownLatch ended = new CountDownLatch(1);
    private volatile boolean failed;
    // Of the one stream thread, until the latch is down.
    private long seen;
    private long firstNs;
    private long halfNs;
    private long lastNs;

    private Split(long rows) {
        this.rows = rows;
    }

    public static void main(String[] arguments) throws InterruptedException {
        Split split = new Split(Long.parseLong(arguments[2]));
        System.exit(split.run(settings(arguments[0], arguments[1], arguments[3]), arguments[1]) ? 0 : 1);
    }

    private static Properties settings(String bootstrap, String prefix, String stateFolder) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, prefix + "split");
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, stateFolder);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 200);
        // The rows of a file are in one partition, for their order: more threads would have nothing to do.
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 100_000);
        consumer(settings, ConsumerConfig.MAX_POLL_RECORDS_CONFIG, 20_000);
        consumer(settings, ConsumerConfig.FETCH_MIN_BYTES_CONFIG, 100_000);
        consumer(settings, ConsumerConfig.FETCH_MAX_WAIT_MS_CONFIG, 20);
        consumer(settings, ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG, 4_000_000);
        consumer(settings, ConsumerConfig.RECEIVE_BUFFER_CONFIG, 1_000_000);
        producer(settings, ProducerConfig.BATCH_SIZE_CONFIG, 500_000);
        producer(settings, ProducerConfig.LINGER_MS_CONFIG, 20);
        producer(settings, ProducerConfig.BUFFER_MEMORY_CONFIG, 134_217_728);
        producer(settings, ProducerConfig.SEND_BUFFER_CONFIG, 1_000_000);
        return settings;
    }

    private static void consumer(Properties settings, String name, Object value) {
        settings.put(StreamsConfig.mainConsumerPrefix(name), value);
    }

    private static void producer(Properties settings, String name, Object value) {
        settings.put(StreamsConfig.producerPrefix(name), value);
    }

    private boolean run(Properties settings, String prefix) throws InterruptedException {
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(prefix + "rows", Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
                .selectKey((key, row) -> counted(category(row)))
                .to(prefix + "categorized", Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            failed = true;
            ended.countDown();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.start();
        ended.await();
        // Commits what is processed.
        boolean closed = streams.close(Duration.ofSeconds(30));
        if (failed || !closed) {
            return false;
        }
        System.out.printf(
                "Kafka Streams, its own %,d rows: %,.0f rows/s, the second half of them %,.0f rows/s%n",
                rows, rows * 1e9 / (lastNs - firstNs), (rows - rows / 2) * 1e9 / (lastNs - halfNs));
        return true;
    }

    private static byte[] category(byte[] row) {
        int length = 0;
        while (length < row.length && row[length] != ',') {
            length++;
        }
        return Arrays.copyOf(row, length);
    }

    private byte[] counted(byte[] category) {
        if (seen == 0) {
            firstNs = System.nanoTime();
        }
        seen++;
        if (seen == rows / 2) {
            halfNs = System.nanoTime();
        }
        if (seen == rows) {
            lastNs = System.nanoTime();
            ended.countDown();
        }
        return category;
    }
}
