// SPDX-License-Identifier: GPL-2.0
/* Host tables as the IOMMU driver uses them for paging domains */

#include "s390-iotable.h"

#include "harness.h"

#define NR	300

static u64 random_iova(int top)
{
	u64 iova = rnd() & world_reach(top) & ~0xfffULL;

	/* Addresses near to each other, or at an end */
	switch (rnd_below(4)) {
	case 0:
		return iova & 0x3ff000;
	case 1:
		return world_reach(top) - 0xfff - (iova & 0x3ff000);
	default:
		return iova;
	}
}

static void check_tree(unsigned long *root, int top, const u64 *iova,
		       const u64 *pte, unsigned int nr)
{
	u64 at = 0, last = world_reach(top);
	struct segments s = {};
	unsigned int i, k, any = 0;

	for (i = 0; i < nr; i++) {
		unsigned long *p = dma_lookup_cpu_trans(root, top, iova[i]);
		u64 want = pte[i];

		/* The last store to an address counts */
		for (k = i + 1; k < nr; k++)
			if (iova[k] == iova[i])
				want = pte[k];
		expect(p && *p == want &&
		       oracle_host(virt_to_phys(root), top, iova[i]) == want,
		       "0x%llx: stored 0x%llx", iova[i], want);
		any += !(want & NO_PTE);
	}
	expect(dma_has_cpu_trans(root, top) == !!any,
	       "has_mappings is wrong, there are %u", any);

	/* dma_find_seg_trans() finds all page tables in order */
	oracle_host_segments(virt_to_phys(root), top, &s);
	for (i = 0; i < s.nr; i++) {
		expect(dma_find_seg_trans(root, top, &at, last) &&
		       at >> 20 == s.iova[i] >> 20,
		       "find_ste comes to 0x%llx, not to 0x%llx", at, s.iova[i]);
		/* It finds none if the range ends before it */
		if (s.iova[i] >= 0x100000) {
			u64 before = s.iova[i] - 0x100000;

			if (!i || s.iova[i - 1] < before)
				expect(!dma_find_seg_trans(root, top, &before,
							   s.iova[i] - 1),
				       "find_ste finds 0x%llx", before);
		}
		at = at | 0xfffff;
		if (at == last)
			break;
		at++;
	}
	expect(at == last || !dma_find_seg_trans(root, top, &at, last),
	       "find_ste finds one too many: 0x%llx", at);
	segments_free(&s);
}

static void walks(void)
{
	u64 iova[NR], pte[NR];
	unsigned int i, nr, round;
	unsigned long *root, *p;
	int top;

	expect(!engine_init(), "init");
	for (round = 0; round < 20 * rounds; round++) {
		top = RT + round % 3;
		world_init(top, false);
		root = dma_alloc_cpu_table(GFP_KERNEL_ACCOUNT);
		for (nr = 0; nr < NR; nr++) {
			iova[nr] = random_iova(top);
			/* Let some allocations fail, then retry */
			if (!rnd_below(8)) {
				fault_arm(FAULT_TABLE, 1 + rnd_below(4), 1,
					  -ENOMEM);
				dma_walk_cpu_trans(root, top, iova[nr],
						   GFP_KERNEL_ACCOUNT);
				fault_arm(FAULT_NONE, 0, 0, 0);
			}
			p = dma_walk_cpu_trans(root, top, iova[nr],
					       GFP_KERNEL_ACCOUNT);
			expect(p, "walk");
			pte[nr] = rnd_below(3) ?
				  SHIM_FRAME_PHYS + rnd_below(1000) * 4096 : NO_PTE;
			WRITE_ONCE(*p, pte[nr]);
		}
		check_tree(root, top, iova, pte, nr);
		for (i = 0; i < nr; i++) {
			pte[i] = NO_PTE;
			*dma_lookup_cpu_trans(root, top, iova[i]) = NO_PTE;
		}
		check_tree(root, top, iova, pte, nr);
		dma_cleanup_tables(root, top);
		check_nothing_left();
	}
	dma_cleanup_tables(NULL, RT);
}

static struct {
	unsigned long *root;
	u64 seed;
} shared;

/* All threads walk to the same addresses and store the same values */
static void *walker(void *arg)
{
	unsigned int i;

	rnd_seed(shared.seed + (rnd_below(2) ? 0 : (uintptr_t)arg));
	for (i = 0; i < 400; i++) {
		u64 iova = random_iova(RS);
		unsigned long *p = dma_walk_cpu_trans(shared.root, RS, iova,
						      GFP_KERNEL_ACCOUNT);

		WRITE_ONCE(*p, SHIM_FRAME_PHYS + (iova >> 12) % 1000 * 4096);
		expect(dma_lookup_cpu_trans(shared.root, RS, iova) == p,
		       "a walk and a look-up of 0x%llx differ", iova);
	}
	return NULL;
}

static void walks_at_once(void)
{
	pthread_t threads[3];
	unsigned int i, round;

	expect(!engine_init(), "init");
	for (round = 0; round < 10 * rounds; round++) {
		world_init(RS, false);
		shared.root = dma_alloc_cpu_table(GFP_KERNEL_ACCOUNT);
		shared.seed = rnd();
		for (i = 0; i < ARRAY_SIZE(threads); i++)
			pthread_create(&threads[i], NULL, walker,
				       (void *)(uintptr_t)i);
		for (i = 0; i < ARRAY_SIZE(threads); i++)
			pthread_join(threads[i], NULL);
		expect(dma_has_cpu_trans(shared.root, RS), "mapped");
		dma_cleanup_tables(shared.root, RS);
		check_nothing_left();
	}
}

const struct test iotable_tests[] = {
	{ "iotable/walks", walks },
	{ "iotable/threads/walks-at-once", walks_at_once },
	{}
};
