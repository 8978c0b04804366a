package simulation

import "github.com/concord-db/concord/conflict"

// Plans lists the small worlds to explore: every three acts, by either site, with the
// clocks in every order, under every policy that is built. Neighbours in
// the list have little in common, so that some of it, evenly spread or from its front, is
// a fair sample.
func Plans() []Plan {
	var all []Plan
	for _, sites := range [][3]int{{0, 1, 0}, {1, 0, 1}, {0, 0, 1}, {1, 1, 0}, {0, 1, 1}, {1, 0, 0}} {
		for _, clocks := range [][3]int{{1, 2, 3}, {3, 2, 1}, {2, 1, 3}, {1, 3, 2}, {2, 3, 1}, {3, 1, 2}} {
			if !inOrder(sites, clocks) {
				continue
			}
			for _, p := range Policies() {
				all = plan(all, Plan{Table: policyTable, Policy: p, Sites: sites, Clocks: clocks}, Acts)
			}
			for _, p := range basePolicies() {
				if p.Deletes != conflict.UpdateWins { // namesPolicy has the world without it
					all = plan(all, Plan{Table: namesTable, Policy: p, Sites: sites, Clocks: clocks}, NameActs)
				}
			}
		}
	}
	return spread(all)
}

// plan adds p with every three acts.
func plan(all []Plan, p Plan, acts []Act) []Plan {
	for _, a := range acts {
		for _, b := range acts {
			for _, c := range acts {
				p.Acts = [3]Act{a, b, c}
				all = append(all, p)
			}
		}
	}
	return all
}

// inOrder: a site's clock does not go back between its own transactions; capture would
// see to that anyway.
func inOrder(sites, clocks [3]int) bool {
	for i := range 3 {
		for j := range i {
			if sites[i] == sites[j] && clocks[i] < clocks[j] {
				return false
			}
		}
	}
	return true
}

// spread orders plans by steps of a number that has no divisor in common with theirs.
func spread(plans []Plan) []Plan {
	const step = 7919 // a prime, greater than what the loops repeat by
	out := make([]Plan, len(plans))
	for i := range plans {
		out[i] = plans[i*step%len(plans)]
	}
	return out
}
