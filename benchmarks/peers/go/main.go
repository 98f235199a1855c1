// peer STAGE BOOTSTRAP PREFIX INPUT_OR_OUTPUT ROWS: the work of Nacre by hand with franz-go.
//
// STAGE: ingest, split, sink (see those files). For sink the fourth argument is OUTPUT:INPUT, as the header of the files
// is the input's. It does less than Nacre: a row is a line, nothing is rejected, no file has a checksum or a ledger, and
// what it does after a kill is untested.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const checkpointInterval = time.Second

var (
	ctx            = context.Background()
	commitInterval = envMs("PEER_COMMIT_MS", 100)
)

func main() {
	if len(os.Args) != 6 {
		fmt.Fprintln(os.Stderr, "usage: peer STAGE BOOTSTRAP PREFIX INPUT_OR_OUTPUT ROWS")
		os.Exit(2)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	stage, bootstrap, prefix, path := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	rows, err := strconv.Atoi(os.Args[5])
	check(err)
	switch stage {
	case "ingest":
		ingest(bootstrap, prefix, path, rows)
	case "split":
		split(bootstrap, prefix, rows)
	case "sink":
		output, input, ok := strings.Cut(path, ":")
		if !ok {
			fail(fmt.Errorf("sink takes OUTPUT:INPUT"))
		}
		sink(bootstrap, prefix, output, input, rows)
	default:
		fail(fmt.Errorf("no stage %q", stage))
	}
}

func producerOpts(bootstrap, id string) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(bootstrap),
		kgo.TransactionalID(id),
		kgo.TransactionTimeout(60 * time.Second),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(1_000_000),
		kgo.ProducerLinger(envMs("PEER_LINGER_MS", 5)),
		kgo.MaxBufferedRecords(envInt("PEER_MAX_BUFFERED", 200_000)),
		kgo.ConcurrentTransactionsBackoff(time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 2 * time.Millisecond }),
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.DisableClientMetrics(),
	}
}

func consumerOpts() []kgo.Opt {
	return []kgo.Opt{
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMinBytes(int32(envInt("PEER_FETCH_MIN", 100_000))),
		kgo.FetchMaxWait(20 * time.Millisecond),
		kgo.FetchMaxBytes(int32(envInt("PEER_FETCH_MAX", 8<<20))),
		kgo.FetchMaxPartitionBytes(int32(envInt("PEER_FETCH_PART", 4<<20))),
	}
}

// One promise for all records: no closure for each.
var produceFailed atomic.Pointer[error]

func delivered(_ *kgo.Record, err error) {
	if err != nil {
		produceFailed.Store(&err)
	}
}

func checkProduced() {
	if err := produceFailed.Load(); err != nil {
		fail(*err)
	}
}

func check(err error) {
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "peer:", err)
	os.Exit(1)
}

func envInt(name string, otherwise int) int {
	if text := os.Getenv(name); text != "" {
		n, err := strconv.Atoi(text)
		check(err)
		return n
	}
	return otherwise
}

func envMs(name string, otherwise int) time.Duration {
	return time.Duration(envInt(name, otherwise)) * time.Millisecond
}
