/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Level-0 test of the shadow: its parts
 *
 *   guest.c	guest memory, and the guest operations on it
 *   fault.c	injected faults and signals
 *   function.c	model of a PCI function that caches every translation
 *   oracle.c	translates one address at a time, without the shadow's code
 *   engine.c	calls the shadow's internal functions
 *   check.c	checks each step
 *   world.c	builds a guest's tables
 *   rnd.c		pseudo random numbers
 *   program.c	turns bytes into actions: random tests and the fuzzer
 *   test-*.c	the tests
 */
#ifndef _HARNESS_H
#define _HARNESS_H

#include "kernel-shim.h"

/* main.c or fuzz.c: end the program with a message how to repeat the failure */
void __printf(3, 4) __noreturn fail_at(const char *file, int line,
				       const char *fmt, ...);
#define fail(fmt...)	fail_at(__FILE__, __LINE__, fmt)
#define expect(cond, fmt...) \
	do { \
		if (!(cond)) \
			fail(fmt); \
	} while (0)

/* Set the context that messages print */
void context(const char *what);

/* rnd.c */
u64 rnd(void);
unsigned int rnd_below(unsigned int n);
void rnd_seed(u64 seed);

/* Levels of a table, counted from the page table up */
enum { PT, ST, RT, RS, RF };

/* guest.c */
struct guest_stats {
	u64 reads;		/* calls */
	u64 entries;		/* doublewords read */
	u64 pin_calls;
	u64 frames_pinned;	/* ever */
	u64 charge_calls;
};

struct guest_slot {
	u64 gaddr;
	unsigned int nr;	/* frames */
	unsigned int base;	/* number of the first frame */
	u64 fill;		/* contents at first */
	bool writable;
	bool present;
};

#define MAX_SLOTS	8

/* Most entries that one call may read */
#define MAX_CALL_ENTRIES	2000000

extern struct guest_stats guest_stats;
extern __thread u64 guest_call_entries;
extern struct guest_slot guest_slots[MAX_SLOTS];
extern u64 guest_charge_limit;
extern bool guest_pins_less;	/* a pin may take fewer frames than asked for */
extern bool guest_concurrent;	/* other threads run: sums are not exact */

extern u64 guest_watched;	/* address of an entry whose reads are counted */
extern unsigned int guest_watched_reads[2];	/* [1]: fetched as a whole */
extern void (*guest_torn_hook)(void);	/* between two bytes of a read */
extern void (*guest_read_hook)(void);	/* after the watched entry was read */
extern void (*guest_pin_hook)(void);	/* before a pin */

extern const struct s390_shadow_guest_ops guest_ops;

void guest_reset(void);
unsigned int guest_add_slot(u64 gaddr, unsigned int nr, bool writable,
			    u64 fill);
unsigned int guest_frames(void);
void guest_slot_present(unsigned int slot, bool present);
int guest_frame(u64 gaddr);	/* number, or -1: no memory there */
bool guest_frame_writable(u64 gaddr);
bool guest_frame_pinnable(u64 gaddr);
void guest_set_pinnable(u64 gaddr, bool pinnable);
bool guest_load(u64 gaddr, u64 *entry);
void guest_store(u64 gaddr, u64 entry);
u64 guest_pinned(void);		/* pins, a frame counts each time */
u64 guest_slot_pinned(unsigned int slot);
u64 guest_charged(void);
unsigned int guest_pins(unsigned int frame, bool write);
void guest_check_slot_free(unsigned int slot);

/* fault.c */
enum fault {
	FAULT_NONE,
	FAULT_READ,
	FAULT_PIN,
	FAULT_CHARGE,
	FAULT_REFRESH,
	FAULT_KMALLOC,
	FAULT_PAGE,
	FAULT_TABLE,
	FAULT_SIGNAL,
	FAULT_KILL,
	NR_FAULTS,
};

extern const char *const fault_names[NR_FAULTS];
extern u64 fault_table_limit;	/* number of pages for tables */
extern __thread bool fault_no_alloc;	/* an allocation is a failure */

void fault_reset(void);
void fault_arm(enum fault fault, u64 nth, u64 count, int rc);
bool fault_fired(void);
bool fault_pending(void);
int fault_hit(enum fault fault);	/* 0, or the error to return */
void fault_random(unsigned int one_in);	/* let random operations fail */
void fault_clear_signal(void);

/* function.c */
#define NO_PTE	0x400ULL	/* an invalid page table entry */

void function_reset(u64 pba, u64 pal, bool caches_invalid);
void function_access(u64 iova);	/* one access: translate and cache */
void function_access_all(void);	/* access all translated addresses */
u64 function_translates(u64 iova);
void function_frame_unpinned(unsigned int frame);
int function_refresh(u64 start, u64 size);
void function_detach_table(void);
bool function_has_table(void);
extern u64 function_host_limit;	/* mappings of the underlying hypervisor */
extern u64 function_refreshes;
extern void (*function_refresh_hook)(void);	/* before the cache is cleared */
extern u64 function_refresh_first, function_refresh_last;

/* oracle.c */
enum oracle_kind {
	ORACLE_MAPPED,
	ORACLE_UNMAPPED,	/* the page table entry is invalid */
	ORACLE_NO_SEGMENT,	/* an entry above the page table is invalid */
	ORACLE_MALFORMED,
	ORACLE_NO_MEMORY,	/* an entry lies outside guest memory */
};

struct oracle_answer {
	enum oracle_kind kind;
	u64 gaddr;
	bool prot;
	int level;	/* of the last entry that was decoded */
};

struct oracle_answer oracle_translate(u64 iota, u64 iova);
u64 oracle_host(u64 root, int top, u64 iova);
struct segments {
	u64 *iova;
	unsigned int nr, space;
};

void segments_add(struct segments *s, u64 iova);
void segments_sort(struct segments *s);
void segments_free(struct segments *s);
void oracle_guest_segments(u64 iota, u64 first, u64 last, struct segments *s);
void oracle_host_segments(u64 root, int top, struct segments *s);

/* engine.c */
struct engine_walk;
struct s390_shadow_stats;

int engine_init(void);
int engine_config_check(u64 iota, u64 pba, u64 pal);
u32 engine_designations(void);
bool engine_try_create(int host_top);	/* of the world */
void engine_create(int host_top);
bool engine_alive(void);
bool engine_contended(void);	/* a task waits for refreshes to end */
int engine_refresh_once(struct engine_walk *walk);
int engine_refresh(u64 first, u64 last, bool resume);
struct engine_walk *engine_walk_start(u64 first, u64 last);
void engine_walk_end(struct engine_walk *walk);
void engine_unmap_gpa_range(u64 gaddr, u64 last);
void engine_teardown(void);
void engine_teardown_now(void);	/* keep the object for other threads */
u64 engine_root(int *top);
u64 engine_pinned(void);	/* from the statistics */
void engine_stats(struct s390_shadow_stats *stats);
u64 engine_tables(void);
u64 engine_failed_batches(void);
void engine_free_idle(void);
void engine_each_failed(void (*fn)(u64 pte));

/* check.c */
void check_invariants(void);
void check_nothing_left(void);
int check_refresh(u64 first, u64 last, bool resume);
int check_refresh_no_fault(u64 first, u64 last, int may_fail);
int check_prediction(u64 first, u64 last);
u64 check_host_entries(void);
extern u64 check_refreshes, check_pages;

/* world.c */
struct world {
	u64 iota, pba, pal;
	int top;	/* of the guest's table */
	int host_top;	/* of the host's */
	bool refresh_new;
};

extern struct world world;

#define WORLD_TABLES	4	/* of each level above page tables */
#define WORLD_PTS	8
#define WORLD_BASE	0x10000000ULL	/* the tables */
#define WORLD_BASE_NR	((4 * WORLD_TABLES * 0x4000 + WORLD_PTS * 0x800) / 4096)
#define WORLD_DATA	0x11000000ULL	/* 4 MiB of data */
#define WORLD_DATA_NR	1024
#define WORLD_RO	0x40000000ULL	/* read only */
#define WORLD_RO_NR	64
#define WORLD_HIGH	0x10000000000000ULL
#define WORLD_HIGH_NR	256
#define WORLD_HOLE	0x20000000ULL	/* no memory */

void world_init(int top, bool refresh_new);
void world_create(void);		/* create the shadow */
void world_end(void);			/* tear down, check for leaks */
u64 world_table(int level, unsigned int nr);
u64 world_reach(int top);
unsigned int world_index(int level, u64 iova);
u64 world_entry(int level, u64 origin);	/* that points to a lower table */
u64 world_pte(u64 gaddr, bool prot);
void world_link(u64 iova, unsigned int pt);	/* link tables down to it */
void world_map(u64 iova, unsigned int pt, u64 gaddr, bool prot);
void world_unmap(u64 iova, unsigned int pt);
u64 world_pte_gaddr(u64 iova, unsigned int pt);
int world_refresh(u64 first, u64 last);
int world_refresh_all(void);
bool world_next_top(int *top);		/* the next supported level */

/* program.c */
void program_run(const u8 *data, size_t size);

/* The tests */
struct test {
	const char *name;
	void (*run)(void);
};

extern const struct test iotable_tests[], format_tests[], cost_tests[],
			 limit_tests[], fault_tests[], random_tests[],
			 thread_tests[];
extern unsigned int rounds;

#endif /* _HARNESS_H */
