package conflict

// filter tells of most keys that a run does not hold that it does not, from memory: 16 bits
// a key, one line of the processor's cache for each question, wrong about one key in a
// thousand. Keys are hashes already.
type filter struct{ blocks [][8]uint64 }

const (
	filterBitsPerKey = 16
	filterProbes     = 8
)

func newFilter(keys int) filter {
	return filter{blocks: make([][8]uint64, max(1, (keys*filterBitsPerKey+511)/512))}
}

func (f *filter) bytes() int64 { return int64(len(f.blocks)) * 64 }

// at returns the block of k, and the bits of k in it one after the other.
func (f *filter) at(k Key) (*[8]uint64, uint64) {
	return &f.blocks[(k.Hi>>32)*uint64(len(f.blocks))>>32], k.Lo
}

func (f *filter) add(k Key) {
	block, bits := f.at(k)
	for range filterProbes {
		block[bits>>6&7] |= 1 << (bits & 63)
		bits = bits>>9 | bits<<55
	}
}

func (f *filter) mayHold(k Key) bool {
	block, bits := f.at(k)
	for range filterProbes {
		if block[bits>>6&7]&(1<<(bits&63)) == 0 {
			return false
		}
		bits = bits>>9 | bits<<55
	}
	return true
}
