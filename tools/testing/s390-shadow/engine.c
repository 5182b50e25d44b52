// SPDX-License-Identifier: GPL-2.0
/* Access to the shadow's internal functions; the other files don't include them */

#include "s390-shadow.h"

#include "harness.h"

static struct s390_shadow *shadow;

struct engine_walk {
	struct s390_shadow_walk walk;
};

static int host_refresh(void *host, u64 start, u64 size)
{
	expect(host == &world, "host refresh: not the host that was given");
	return function_refresh(start, size);
}

static void host_detach(void *host)
{
	expect(host == &world, "detach: not the host that was given");
	function_detach_table();
	s390_shadow_engine_teardown(shadow);
}

static const struct s390_shadow_host_ops host_ops = {
	.refresh = host_refresh,
	.detach = host_detach,
};

/* Called once, as at boot */
int engine_init(void)
{
	static bool done;
	int rc = 0;

	if (!done)
		rc = dma_alloc_cpu_table_caches();
	done = true;
	return rc;
}

int engine_config_check(u64 iota, u64 pba, u64 pal)
{
	struct s390_shadow_config cfg = { .iota = iota, .pba = pba, .pal = pal };

	return s390_shadow_config_check(&cfg);
}

u32 engine_designations(void)
{
	return s390_shadow_designations();
}

bool engine_try_create(int host_top)
{
	struct s390_shadow_config cfg = {
		.iota = world.iota,
		.pba = world.pba,
		.pal = world.pal,
	};

	expect(!engine_init(), "dma_alloc_cpu_table_caches");
	expect(!shadow, "the test has a shadow already");
	shadow = s390_shadow_engine_create(&cfg, host_top, &guest_ops, &world,
					   &host_ops, &world, world.refresh_new,
					   1);
	return shadow;
}

void engine_create(int host_top)
{
	expect(engine_try_create(host_top), "the shadow could not be created");
}

bool engine_alive(void)
{
	return shadow && !READ_ONCE(shadow->dead);
}

bool engine_contended(void)
{
	return rwsem_is_contended(&shadow->tree_lock);
}

struct engine_walk *engine_walk_start(u64 first, u64 last)
{
	struct engine_walk *walk = calloc(1, sizeof(*walk));

	s390_shadow_walk_init(&walk->walk, first, last);
	return walk;
}

void engine_walk_end(struct engine_walk *walk)
{
	free(walk);
}

int engine_refresh_once(struct engine_walk *walk)
{
	int rc;

	guest_call_entries = 0;
	rc = s390_shadow_refresh(shadow, &walk->walk);
	expect(!shim_locks_held(), "a refresh came back with %d locks held",
	       shim_locks_held());
	return rc;
}

/* Refresh a range completely; without @resume return at a signal */
int engine_refresh(u64 first, u64 last, bool resume)
{
	struct engine_walk *walk = engine_walk_start(first, last);
	unsigned int n = 0;
	int rc;

	for (;;) {
		rc = engine_refresh_once(walk);
		if (rc == -EINTR && resume)
			fault_clear_signal();
		else if (rc != -EAGAIN)
			break;
		expect(++n < 20000, "the refresh comes to no end");
	}
	engine_walk_end(walk);
	return rc;
}

void engine_unmap_gpa_range(u64 gaddr, u64 last)
{
	fault_no_alloc = true;
	s390_shadow_unmap_gpa_range(shadow, gaddr, last);
	fault_no_alloc = false;
	expect(!shim_locks_held(), "locks held after unmapping guest memory");
}

void engine_teardown_now(void)
{
	fault_no_alloc = true;
	s390_shadow_engine_teardown(shadow);
	fault_no_alloc = false;
}

void engine_teardown(void)
{
	struct s390_shadow *s = shadow;
	struct s390_shadow_stats stats;

	if (!s)
		return;
	engine_teardown_now();
	/* Teardown may be called twice */
	engine_teardown_now();
	expect(!guest_pinned(), "torn down, and %llu frames are pinned",
	       guest_pinned());
	s390_shadow_stats(s, &stats);
	expect(stats.mapped == stats.unmapped,
	       "statistics: %llu mapped, but %llu unmapped", stats.mapped,
	       stats.unmapped);
	expect(!shim_locks_held(), "the teardown came back with locks held");
	__atomic_store_n(&shadow, NULL, __ATOMIC_SEQ_CST);
	s390_shadow_put(s);
}

u64 engine_root(int *top)
{
	*top = (int)shadow->top;
	return virt_to_phys(shadow->root);
}

u64 engine_pinned(void)
{
	struct s390_shadow_stats stats;

	s390_shadow_stats(shadow, &stats);
	expect(stats.mapped - stats.unmapped <= stats.pinned,
	       "statistics: %llu mapped, %llu unmapped, but %llu pinned",
	       stats.mapped, stats.unmapped, stats.pinned);
	expect(stats.pinned <= stats.pinned_peak,
	       "statistics: %llu pinned, at peak %llu", stats.pinned,
	       stats.pinned_peak);
	return stats.pinned;
}

void engine_stats(struct s390_shadow_stats *stats)
{
	s390_shadow_stats(shadow, stats);
}

u64 engine_tables(void)
{
	struct s390_shadow_stats stats;

	engine_stats(&stats);
	return stats.tables;
}

u64 engine_failed_batches(void)
{
	struct s390_shadow_batch *batch;
	u64 nr = 0;

	list_for_each_entry(batch, &shadow->failed_batches, node)
		nr++;
	return nr;
}

/* Make the next refresh allocate its batch */
void engine_free_idle(void)
{
	s390_shadow_free_idle(shadow);
}

void engine_each_failed(void (*fn)(u64 pte))
{
	const struct s390_shadow_frame *frame;
	struct s390_shadow_batch *batch;
	unsigned int i;

	list_for_each_entry(batch, &shadow->failed_batches, node) {
		for (i = 0; i < batch->nr; i++) {
			frame = &batch->frames[i];
			fn(zpci_make_pte(frame->addr,
					 frame->gaddr &
					 S390_SHADOW_FRAME_PROTECTED));
		}
	}
}
