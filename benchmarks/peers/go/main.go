// peer STAGE BOOTSTRAP PREFIX INPUT_OR_OUTPUT ROWS: the work of Nacre by hand with franz-go.
//
// STAGE: ingest, split, sink (see those files). For sink the fourth argument is OUTPUT:INPUT, as the header of the files
// is the input's.
//
// It does less than Nacre, as benchmarks/peers/__init__.py says. Recovery after a kill is untested: ingest records its
// position, as Nacre does, but never reads it, so it starts again from the first row; split and sink resume at their
// offsets, but still wait for the full number of rows.
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
	ctx = context.Background()
	// PEER_COMMIT_MS says another: the contender with commits of 20 ms has it.
	commitInterval = 100 * time.Millisecond
)

func main() {
	if len(os.Args) != 6 {
		fmt.Fprintln(os.Stderr, "usage: peer STAGE BOOTSTRAP PREFIX INPUT_OR_OUTPUT ROWS")
		os.Exit(2)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if text := os.Getenv("PEER_COMMIT_MS"); text != "" {
		ms, err := strconv.Atoi(text)
		check(err)
		commitInterval = time.Duration(ms) * time.Millisecond
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

// franz-go's own are a linger of 10 ms and 50,000 records; what else was tried is not noted.
func producerOpts(bootstrap, id string) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(bootstrap),
		kgo.TransactionalID(id),
		kgo.TransactionTimeout(60 * time.Second),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(1_000_000),
		kgo.ProducerLinger(5 * time.Millisecond),
		kgo.MaxBufferedRecords(200_000),
		kgo.ConcurrentTransactionsBackoff(time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 2 * time.Millisecond }),
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.DisableClientMetrics(),
	}
}

// franz-go's own are 1 byte at least, 50 MiB at most, and 1 MiB of a partition; what else was tried is not noted.
func consumerOpts() []kgo.Opt {
	return []kgo.Opt{
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMinBytes(100_000),
		kgo.FetchMaxWait(20 * time.Millisecond),
		kgo.FetchMaxBytes(8 << 20),
		kgo.FetchMaxPartitionBytes(4 << 20),
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
