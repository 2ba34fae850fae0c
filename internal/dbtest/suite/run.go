package suite

import "testing"

// cancellations is how many creates Run cancels.
const cancellations = 1000

// Run checks everything that a driver has to keep, on each of targets; a test
// binary calls it for the drivers that can live in one program.
func Run(t *testing.T, targets ...*Target) {
	for _, g := range targets {
		t.Run(g.Name, func(t *testing.T) {
			t.Parallel() // they wait for the disks of different databases
			g.Share(t)
			for _, p := range promises {
				if p.ofTheDatabase && g.SecondDriver {
					continue
				}
				t.Run(p.name, func(t *testing.T) { p.check(t, g) })
			}
		})
	}
}

var promises = [...]struct {
	name          string
	check         func(*testing.T, *Target)
	ofTheDatabase bool // whatever the driver
}{
	{"Conformance", Conformance, false},
	{"HostTransactions", HostTransactions, false},
	{"Retries", Retries, false},
	{"Races", Races, false},
	{"EditRaces", EditRaces, false},
	{"Batches", Batches, false},
	{"Guesses", Guesses, false},
	{"HostErrors", HostErrors, false},
	{"Faults", Faults, false},
	{"EditFaults", EditFaults, false},
	{"StoreFaults", StoreFaults, false},
	{"SilentRepeats", SilentRepeats, false},
	{"Prepared", Prepared, false},
	{"Classes", Classes, false},
	{"Limits", Limits, false},
	{"Cancellation", func(t *testing.T, g *Target) { Cancellation(t, g, cancellations) }, false},
	{"Outbox", Outbox, false},
	{"AutocommitOff", AutocommitOff, true},
	{"HostTables", HostTables, true},
	{"Partitions", Partitions, true},
	{"Isolation", Isolation, false},
	{"Plans", Plans, true},
	{"ListPlans", ListPlans, true},
	{"Turns", Turns, true},
	{"Indexes", Indexes, true},
}
