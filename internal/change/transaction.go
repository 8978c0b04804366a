package change

import "time"

// Seen tells, for each other origin, the last seq of that origin that had been
// applied at a site when a transaction committed there. It is read from the log
// and never changed once a transaction carries it: copy before changing. A
// missing origin counts as 0.
type Seen map[Site]uint64

// Clone returns a copy that may be changed; of nil, an empty one.
func (s Seen) Clone() Seen {
	c := make(Seen, len(s)+1)
	for k, v := range s {
		c[k] = v
	}
	return c
}

// Transaction is what one application transaction did to replicated tables, as
// its origin published it, or one part of it.
type Transaction struct {
	Origin Site
	Epoch  uint32 // generation of the origin's log; a new slot or a restored backup begins a new one
	Seq    uint64 // dense number of the origin's published transactions: 1, 2, 3 … in commit order
	HLC    uint64 // with Origin, the version of every write in it
	Seen   Seen   // shared and immutable

	Position   Position  // in the origin's log; resuming after it skips this transaction
	CommitTime time.Time // by the origin database's clock, microseconds
	// XID is the number that the origin database gave the transaction, for people who look
	// into its log; 0: not known. A restored database may give it again.
	XID uint64

	// Heartbeat is set on a heartbeat transaction: the moment the origin's agent
	// wrote it, by the agent's clock. Zero otherwise.
	Heartbeat time.Time

	// A transaction too large for one frame travels in parts 0, 1, 2 … of the same
	// Seq; all but the last have More set. A part 0 begins the transaction anew:
	// parts of the same Seq before it are void (its origin restarted).
	Part int
	More bool
	// Before is how many rows the parts before this one have, where whoever reads the
	// parts has counted them; no log tells it.
	Before int

	Rows []Row // in log order
}

// Version returns the version of the transaction's writes.
func (t *Transaction) Version() Version { return Version{HLC: t.HLC, Origin: t.Origin} }

// Saw reports whether t's origin had applied transaction seq of origin o when t
// committed. A transaction saw every earlier one of its own origin.
func (t *Transaction) Saw(o Site, seq uint64) bool {
	if o == t.Origin {
		return seq < t.Seq
	}
	return t.Seen[o] >= seq
}

// Frame is what travels as one message of an origin's stream: consecutive
// transactions (or one part of a large one), and the origin's clock.
type Frame struct {
	Cluster string
	Origin  Site
	Epoch   uint32
	// Clock is the origin's hybrid logical clock when the frame was made, at least
	// the HLC of every transaction so far. A frame may carry only this: the fact
	// that the clock was raised, with no transactions.
	Clock        uint64
	Transactions []Transaction
	// Rules are the origin's when the frame was made. Most frames carry none: they are
	// told when capture starts, and then now and again.
	Rules Rules
}

// Tail is the end of an origin's stream: what capture needs to resume, all of it
// taken from the last stored messages. The zero Tail is an empty stream.
type Tail struct {
	Epoch    uint32
	Seq      uint64 // last complete transaction stored; 0 when none
	Clock    uint64
	Seen     Seen
	Position Position // of the last complete transaction
}

// Mark is the checkpoint row that a replicated transaction wrote, seen in the
// log: origin's transactions up to Seq have been applied here.
type Mark struct {
	Origin Site
	Epoch  uint32
	Seq    uint64
	HLC    uint64 // greatest HLC among those applied
}
