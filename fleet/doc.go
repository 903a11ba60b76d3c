// Package fleet lets the replicas of a server know their fair share of the
// fleet's connections, for [core.OnExcess].
//
// Each replica asks a few others how many connections they have, and takes the
// mean for its own share. There is no leader, no store, and nothing to run
// besides the replicas:
//
//	share, err := fleet.NewShare(fleet.DNS("app-fleet", "8080"))
//	// …
//	ctl, err := core.New(core.OnExcess(share.FairShare))
//	// …
//	mux.Handle("GET "+fleet.Path, share.Handler(ctl))
//	go share.Run(ctx)
//
// It is for replicas of one size behind one balancer, which has no reason to
// prefer one of them. In Kubernetes the addresses come from a headless Service,
// with publishNotReadyAddresses left at false.
//
// # The estimate
//
// All replicas are on a circle, each at a place that is drawn from its address,
// and each poll asks the next few of them, so that everybody comes up once in a
// revolution, and the cost of a poll depends on the sample and not on the size
// of the fleet. What a replica said counts for sixteen intervals: with a sample
// of 8 that is all of a fleet of up to 128 replicas, and 128 of a larger one.
//
// A mean over so many polls is late, and after ten of a hundred replicas have
// crashed everybody has more connections than the old mean. So what this
// replica has gained meanwhile is taken for what everybody has gained, and is
// added: after the crash nobody has an excess. Where it was not everybody's,
// the next sixteen intervals show it.
//
// # Whom not to believe
//
// A replica that drains, that does not answer in time, or whose answer is not
// that of a Share of this version is left out. Where fewer than half of a
// sample answer, or where there has been no poll for three intervals, the share
// is not known, and OnExcess closes nobody.
package fleet
