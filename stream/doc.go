// Package stream carries frames from site to site. It knows NATS and bytes and
// nothing of SQL; a transaction is to it a seq, a version, a position and rows of
// texts. docs/FORMAT.md specifies what is stored.
//
// # One stream for each origin, one copy at each peer
//
// A site's capture agent publishes into the site's own JetStream stream, on the
// site's own bus: inside the agent (Server) or the operator's (ConnectExternal).
// Each peer runs a Relay, which pulls that stream over an ordinary client
// connection and stores it, as it is, in a copy on the peer's bus. Apply reads the
// copy (Log, Reader). So apply never waits for the network between sites, a peer
// whose database is down holds nobody up, and what a burnt site published is
// elsewhere. JetStream's own mirrors would do the same but for three things: after
// an outage of seconds they take many more to move again, they report no lag while
// the origin is down, and they splice a recreated stream onto the old one.
//
// # One writer, no holes
//
// Frames are published without waiting for one another, each naming the stream
// sequence it must follow. Behind one that failed all fail. With a second writer
// that is not enough: its message takes the place of the failed one, and what the
// first had sent behind it would be let in. So each run of a writer has a subject
// of its own, which it makes the stream's only subject with its first frame, and
// that first frame is awaited alone. A writer that was replaced finds no stream
// under its subject: it is fenced (change.ErrStandby), even if it had been stopped
// for an hour in the middle of a pipeline. Reading the end of a stream takes
// nothing over, so a standby disturbs nobody until it publishes.
//
// After any error the writer stops, waits for what is in flight, reads the last
// message and continues behind it. The last message alone says where the stream
// stands: the last transaction that is complete, its position and seen vector, and
// the clock. A frame whose acknowledgement was lost is found stored, or is not and
// is published again; nothing is stored twice.
//
// # One chain
//
// Each frame carries the hash of the one before it, and its seqs are dense. A
// Reader verifies both, and the payload's own hash, before it passes a frame on. A
// stream that was purged, truncated, replaced or restored stops its readers and
// relays with change.ErrNeedsCopy. That is also why the streams are not created
// with DenyPurge: the agent itself trims what no peer and no window needs any more
// (Log.Trim), by a purge up to a sequence; any other purge breaks the chain, and
// an emptied stream is not continued.
//
// # The states of a relay
//
//	connecting ──▶ streaming ◀──▶ unreachable      the peer or the own bus is down
//	                 ▲    ▲ ▲
//	                 │    │ └───▶ full             the copy is at its limit
//	                 │    └─────▶ needs_copy       a person is needed; looked at again
//	                 ▼                             every few seconds
//	              rewound                          the origin lost its stream's end
//
// It needs a copy when the origin trimmed what was not copied, when the chain is
// broken, or when a transaction comes back different.
//
// # An origin that lost its end
//
// A bus that acknowledges before its disk has the message loses the end of the
// stream in a power failure, and so does one that is restored from a snapshot.
// Capture then reads the database's log again and publishes the same transactions
// with the same seqs, for those are a function of the log; but it may frame them
// differently. A relay that has copied the lost frames finds the last message that
// both streams have, waits, and compares what is published again with its copy by
// seq, version and position. Frames that are wholly known are dropped. The first
// one that holds something new is stored, marked as a splice: its transactions
// before that are duplicates, which readers leave out by seq, and it may void
// parts of a large transaction behind which it comes. Anything else needs a copy.
//
// # Epochs
//
// A new slot or a restored backup begins a new epoch, which numbers its
// transactions anew. In an unbroken chain a relay copies it like anything else;
// readers stop in front of it with change.ErrNeedsCopy until somebody has brought
// the data of the new epoch and opens the log at it.
package stream
