package simulation

import "testing"

func TestProf(t *testing.T) {
	for i := range 60 {
		p := Policies()[i/3%9]
		Run(t.Context(), Options{Seed: uint64(i), Sites: []int{2, 3, 5}[i%3], Policy: &p})
	}
}
