// SPDX-License-Identifier: GPL-2.0
/* Inject failing operations and pending signals */

#include "harness.h"

const char *const fault_names[NR_FAULTS] = {
	"none", "read", "pin", "charge", "refresh", "kmalloc", "page", "table",
	"signal", "kill",
};

/* Relaxed, so that sharing this does not order the threads */
#define GET(var)	__atomic_load_n(&(var), __ATOMIC_RELAXED)
#define SET(var, value)	__atomic_store_n(&(var), value, __ATOMIC_RELAXED)

u64 fault_table_limit;
__thread bool fault_no_alloc;

static u64 calls[NR_FAULTS];
static enum fault armed;
static u64 armed_nth, armed_count;
static int armed_rc;
static bool fired;
static unsigned int random_one_in;

/* A signal stays pending until it is handled */
static __thread bool signalled, killed;

void fault_reset(void)
{
	fault_arm(FAULT_NONE, 0, 0, 0);
	memset(calls, 0, sizeof(calls));
	fault_random(0);
	fault_clear_signal();
	fault_table_limit = U64_MAX;
}

/* Let @count calls fail with @rc, beginning with the @nth from now */
void fault_arm(enum fault fault, u64 nth, u64 count, int rc)
{
	SET(armed_nth, GET(calls[fault]) + nth);
	SET(armed_count, count);
	SET(armed_rc, rc);
	SET(fired, false);
	SET(armed, fault);
}

/* Will a later operation fail? */
bool fault_pending(void)
{
	return random_one_in || signalled || killed ||
	       (armed && calls[armed] + 1 < armed_nth + armed_count);
}

bool fault_fired(void)
{
	return fired;
}

void fault_random(unsigned int one_in)
{
	random_one_in = one_in;
}

static int fault_rc(enum fault fault)
{
	static const int rcs[] = { -ENOMEM, -EINTR, -EFAULT, -EIO };

	switch (fault) {
	case FAULT_READ:
		return rcs[1 + rnd_below(2)];
	case FAULT_PIN:
		return rcs[rnd_below(3)];
	case FAULT_CHARGE:
		return rcs[rnd_below(2)];
	case FAULT_REFRESH:
		return rnd_below(2) ? -ENOMEM : -EIO;
	default:
		return -ENOMEM;
	}
}

int fault_hit(enum fault fault)
{
	u64 nr = __atomic_add_fetch(&calls[fault], 1, __ATOMIC_RELAXED);

	if (random_one_in && !rnd_below(random_one_in))
		return fault_rc(fault);
	if (fault != GET(armed) || nr < GET(armed_nth) ||
	    nr - GET(armed_nth) >= GET(armed_count))
		return 0;
	SET(fired, true);
	return GET(armed_rc);
}

void fault_clear_signal(void)
{
	signalled = false;
	killed = false;
}

bool shim_signal_pending(void)
{
	if (!signalled && fault_hit(FAULT_SIGNAL))
		signalled = true;
	return signalled || killed;
}

bool shim_fatal_signal_pending(void)
{
	if (!killed && fault_hit(FAULT_KILL))
		killed = true;
	return killed;
}

bool shim_may_alloc(enum shim_alloc kind, gfp_t gfp)
{
	static const enum fault faults[NR_SHIM_ALLOCS] = {
		[SHIM_KMALLOC] = FAULT_KMALLOC,
		[SHIM_PAGE] = FAULT_PAGE,
		[SHIM_TABLE] = FAULT_TABLE,
		[SHIM_PT] = FAULT_TABLE,
	};

	expect(!fault_no_alloc, "an allocation where none may be made");
	/* Tables must be charged to the memory cgroup */
	expect((kind != SHIM_PAGE && kind != SHIM_TABLE) || gfp & __GFP_ACCOUNT,
	       "a table that is not charged to the memory cgroup");
	if (fault_hit(faults[kind]))
		return false;
	return kind == SHIM_KMALLOC ||
	       shim_live(SHIM_PAGE) + shim_live(SHIM_TABLE) <
	       (long)min(fault_table_limit, (u64)INT32_MAX);
}
