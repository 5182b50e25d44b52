// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU that changes I/O translation tables and executes RPCIT over and over:
 * the host's thread
 */
#include <string.h>

#include "kvm_util.h"
#include "test_util.h"
#include "zpci_mailbox.h"
#include "zpci_storm.h"

static void *storm_main(void *arg)
{
	struct zpci_storm_thread *t = arg;

	zpci_guest_storm(t->guest);
	return NULL;
}

/* Let the vCPU do what @storm says, in a thread of its own. */
void zpci_storm_start(struct zpci_storm_thread *t, struct zpci_guest *g,
		      const struct zpci_storm *storm)
{
	int err;

	t->guest = g;
	g->mailbox->storm = *storm;
	err = pthread_create(&t->thread, NULL, storm_main, t);
	TEST_ASSERT(!err, "no thread: %s", strerror(err));
}

/* Wait until it has gone @rounds rounds. */
void zpci_storm_wait(struct zpci_storm_thread *t, u64 rounds)
{
	while (READ_ONCE(t->guest->mailbox->storm.rounds) < rounds) {
		TEST_ASSERT(!READ_ONCE(t->guest->vanished),
			    "the guest is gone before round %lu: %s", rounds,
			    strerror(t->guest->vanished));
		usleep(100);
	}
}

/* Wait for its last round. */
void zpci_storm_join(struct zpci_storm_thread *t)
{
	pthread_join(t->thread, NULL);
}

/* End it after the round that it is in, and see what came of it. */
const struct zpci_storm *zpci_storm_stop(struct zpci_storm_thread *t)
{
	WRITE_ONCE(t->guest->mailbox->storm.stop, 1);
	zpci_storm_join(t);
	return &t->guest->mailbox->storm;
}
