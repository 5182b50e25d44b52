/* SPDX-License-Identifier: GPL-2.0 */
/*
 * User-space shim of the kernel API that the shadow's source files use
 *
 * For each <linux/...> header that those files include, the Makefile generates a
 * file that includes this one. Tables come from an arena whose physical addresses
 * differ from its virtual ones, so that a mix-up crashes. Freed memory is poisoned.
 */
#ifndef _KERNEL_SHIM_H
#define _KERNEL_SHIM_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef long long s64;
typedef unsigned int gfp_t;
typedef u64 phys_addr_t;
typedef u64 dma_addr_t;

#define U64_MAX			(~0ULL)
#define UINT_MAX		(~0U)

#define __init
#define __maybe_unused		__attribute__((unused))
#define __must_check		__attribute__((warn_unused_result))
#define __printf(a, b)		__attribute__((format(printf, a, b)))
#define __noreturn		__attribute__((noreturn))
#define fallthrough		__attribute__((fallthrough))
#define likely(x)		__builtin_expect(!!(x), 1)
#define unlikely(x)		__builtin_expect(!!(x), 0)
#define EXPORT_SYMBOL_GPL(sym)	extern typeof(sym) sym
#define noinline		__attribute__((noinline))
#define unrolled_full
#define __aligned(n)		__attribute__((aligned(n)))

#define BIT(nr)			(1UL << (nr))
#define BIT_ULL(nr)		(1ULL << (nr))
#define GENMASK(h, l)		((~0UL << (l)) & (~0UL >> (63 - (h))))
#define GENMASK_ULL(h, l)	((~0ULL << (l)) & (~0ULL >> (63 - (h))))
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define BITS_PER_LONG		64
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))
#define static_assert		_Static_assert
#define BUILD_BUG_ON(cond)	_Static_assert(!(cond), #cond)

#define __cmp_once(op, a, b) \
	({ typeof(a) __a = (a); typeof(b) __b = (b); __a op __b ? __a : __b; })
#define min(a, b)		__cmp_once(<, a, b)
#define max(a, b)		__cmp_once(>, a, b)
#define min3(a, b, c)		min(min(a, b), c)
#define max3(a, b, c)		max(max(a, b), c)
#define min_t(type, a, b)	min((type)(a), (type)(b))
#define max_t(type, a, b)	max((type)(a), (type)(b))
#define umin(a, b)		min((u64)(a), (u64)(b))
#define swap(a, b) \
	do { typeof(a) __t = (a); (a) = (b); (b) = __t; } while (0)
#define check_add_overflow(a, b, d)	__builtin_add_overflow(a, b, d)
#define DIV_ROUND_UP(n, d)	(((n) + (d) - 1) / (d))
#define round_up(x, y)		((((x) - 1) | ((typeof(x))(y) - 1)) + 1)
#define round_down(x, y)	((x) & ~((typeof(x))(y) - 1))

#define PAGE_SHIFT		12
#define PAGE_SIZE		(1UL << PAGE_SHIFT)
#define PAGE_MASK		(~(PAGE_SIZE - 1))
#define PAGE_DEFAULT_KEY	0
#define offset_in_page(p)	((unsigned long)(p) & ~PAGE_MASK)
#define PAGE_ALIGNED(x)		(((unsigned long)(x) & ~PAGE_MASK) == 0)
#define IS_ALIGNED(x, a)	(((x) & ((typeof(x))(a) - 1)) == 0)

/* Ends the program; see fail() in harness.h */
void __noreturn shim_bug(const char *file, int line, const char *what);

/* A warning of the engine is a failure, whatever the guest does */
#define WARN_ON(cond) \
	({ bool __c = !!(cond); \
	   if (__c) \
		shim_bug(__FILE__, __LINE__, "WARN_ON: " #cond); \
	   __c; })
#define WARN_ON_ONCE(cond)	WARN_ON(cond)
#define VM_WARN_ON_ONCE(cond)	WARN_ON(cond)
#define BUG_ON(cond)		WARN_ON(cond)

/*
 * Memory order. x86-64 and s390 both order loads with loads and stores with
 * stores. Acquire and release tell this to the compiler and to ThreadSanitizer.
 */
#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define WRITE_ONCE(x, v)	__atomic_store_n(&(x), v, __ATOMIC_RELEASE)
#define smp_load_acquire(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_release(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
#define smp_mb()		__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_rmb()		__atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_wmb()		__atomic_thread_fence(__ATOMIC_RELEASE)
#define smp_mb__after_atomic()	smp_mb()
#define smp_mb__before_atomic()	smp_mb()
#define xchg(p, v)		__atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)
#define cmpxchg(p, o, n) \
	({ typeof(*(p)) __o = (o); \
	   __atomic_compare_exchange_n(p, &__o, n, false, __ATOMIC_SEQ_CST, \
				       __ATOMIC_SEQ_CST); \
	   __o; })
#define try_cmpxchg(p, o, n) \
	__atomic_compare_exchange_n(p, o, n, false, __ATOMIC_SEQ_CST, \
				    __ATOMIC_SEQ_CST)

#define SHIM_ATOMIC(prefix, type, stype) \
typedef struct { stype counter; } type; \
static inline stype prefix##_read(const type *v) \
{ return __atomic_load_n(&v->counter, __ATOMIC_RELAXED); } \
static inline stype prefix##_read_acquire(const type *v) \
{ return __atomic_load_n(&v->counter, __ATOMIC_ACQUIRE); } \
static inline void prefix##_set(type *v, stype i) \
{ __atomic_store_n(&v->counter, i, __ATOMIC_RELAXED); } \
static inline void prefix##_set_release(type *v, stype i) \
{ __atomic_store_n(&v->counter, i, __ATOMIC_RELEASE); } \
static inline void prefix##_add(stype i, type *v) \
{ __atomic_fetch_add(&v->counter, i, __ATOMIC_RELAXED); } \
static inline void prefix##_sub(stype i, type *v) \
{ __atomic_fetch_sub(&v->counter, i, __ATOMIC_RELAXED); } \
static inline void prefix##_inc(type *v) { prefix##_add(1, v); } \
static inline void prefix##_dec(type *v) { prefix##_sub(1, v); } \
static inline stype prefix##_add_return(stype i, type *v) \
{ return __atomic_add_fetch(&v->counter, i, __ATOMIC_SEQ_CST); } \
static inline stype prefix##_sub_return(stype i, type *v) \
{ return __atomic_sub_fetch(&v->counter, i, __ATOMIC_SEQ_CST); } \
static inline stype prefix##_inc_return(type *v) \
{ return prefix##_add_return(1, v); } \
static inline stype prefix##_dec_return(type *v) \
{ return prefix##_sub_return(1, v); } \
static inline stype prefix##_fetch_add(stype i, type *v) \
{ return __atomic_fetch_add(&v->counter, i, __ATOMIC_SEQ_CST); } \
static inline stype prefix##_fetch_inc(type *v) \
{ return prefix##_fetch_add(1, v); } \
static inline stype prefix##_dec_return_release(type *v) \
{ return __atomic_sub_fetch(&v->counter, 1, __ATOMIC_RELEASE); } \
static inline stype prefix##_inc_return_acquire(type *v) \
{ return __atomic_add_fetch(&v->counter, 1, __ATOMIC_ACQUIRE); } \
static inline bool prefix##_dec_and_test(type *v) \
{ return !prefix##_sub_return(1, v); } \
static inline stype prefix##_xchg(type *v, stype n) \
{ return __atomic_exchange_n(&v->counter, n, __ATOMIC_SEQ_CST); } \
static inline bool prefix##_try_cmpxchg(type *v, stype *o, stype n) \
{ return try_cmpxchg(&v->counter, o, n); } \
static inline bool prefix##_inc_not_zero(type *v) \
{ \
	stype o = prefix##_read(v); \
	do { \
		if (!o) \
			return false; \
	} while (!prefix##_try_cmpxchg(v, &o, o + 1)); \
	return true; \
}

SHIM_ATOMIC(atomic, atomic_t, int)
SHIM_ATOMIC(atomic64, atomic64_t, s64)
SHIM_ATOMIC(atomic_long, atomic_long_t, long)

static inline void memset64(u64 *p, u64 v, size_t nr)
{
	while (nr--)
		*p++ = v;
}

/* Bits */
static inline unsigned long __fls(unsigned long word)
{
	return 63 - __builtin_clzl(word);
}

static inline unsigned int hweight64(u64 word)
{
	return __builtin_popcountll(word);
}

/* Lists */
struct list_head {
	struct list_head *next, *prev;
};

#define LIST_HEAD_INIT(name)	{ &(name), &(name) }
#define LIST_HEAD(name)		struct list_head name = LIST_HEAD_INIT(name)

static inline void INIT_LIST_HEAD(struct list_head *l)
{
	l->next = l;
	l->prev = l;
}

static inline void __list_put(struct list_head *n, struct list_head *prev,
			      struct list_head *next)
{
	n->prev = prev;
	n->next = next;
	prev->next = n;
	next->prev = n;
}

static inline void list_add(struct list_head *n, struct list_head *head)
{
	__list_put(n, head, head->next);
}

static inline void list_add_tail(struct list_head *n, struct list_head *head)
{
	__list_put(n, head->prev, head);
}

static inline void list_del_init(struct list_head *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	INIT_LIST_HEAD(n);
}

/* Poison the links, so that a second list_del() crashes */
static inline void list_del(struct list_head *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	n->next = NULL;
	n->prev = NULL;
}

static inline bool list_empty(const struct list_head *l)
{
	return READ_ONCE(l->next) == l;
}

static inline void list_move(struct list_head *n, struct list_head *head)
{
	list_del(n);
	list_add(n, head);
}

static inline void list_splice_init(struct list_head *l, struct list_head *head)
{
	if (list_empty(l))
		return;
	l->next->prev = head;
	l->prev->next = head->next;
	head->next->prev = l->prev;
	head->next = l->next;
	INIT_LIST_HEAD(l);
}

static inline void list_splice_tail_init(struct list_head *l,
					 struct list_head *head)
{
	list_splice_init(l, head->prev);
}

#define list_entry(p, type, member)	container_of(p, type, member)
#define list_first_entry(h, type, member) \
	list_entry((h)->next, type, member)
#define list_next_entry(p, member) \
	list_entry((p)->member.next, typeof(*(p)), member)
#define list_first_entry_or_null(h, type, member) \
	(list_empty(h) ? NULL : list_first_entry(h, type, member))
#define list_for_each_entry(p, h, member) \
	for (p = list_first_entry(h, typeof(*p), member); \
	     &p->member != (h); p = list_next_entry(p, member))
#define list_for_each_entry_safe(p, n, h, member) \
	for (p = list_first_entry(h, typeof(*p), member), \
	     n = list_next_entry(p, member); \
	     &p->member != (h); p = n, n = list_next_entry(n, member))

/* Tasks. The harness says when a signal is pending. */
struct task_struct {
	int unused;
};

#define current			((struct task_struct *)NULL)
bool shim_signal_pending(void);
bool shim_fatal_signal_pending(void);
void shim_might_sleep(void);
void shim_resched(void);
#define signal_pending(task)	((void)(task), shim_signal_pending())
#define fatal_signal_pending(task) ((void)(task), shim_fatal_signal_pending())
#define need_resched()		false
#define might_sleep()		shim_might_sleep()
#define cond_resched()		shim_resched()
#define cpu_relax()		do { } while (0)

/* Locks. A thread must not hold one when the engine returns. */
struct mutex {
	pthread_mutex_t lock;
	int locked;
};

struct rw_semaphore {
	pthread_rwlock_t lock;
	int waiting;
};

typedef struct {
	pthread_mutex_t lock;
} spinlock_t;

void mutex_init(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
int mutex_lock_killable(struct mutex *mutex);
bool mutex_trylock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);
bool mutex_is_locked(struct mutex *mutex);
void init_rwsem(struct rw_semaphore *sem);
void down_read(struct rw_semaphore *sem);
int down_read_killable(struct rw_semaphore *sem);
bool down_read_trylock(struct rw_semaphore *sem);
void up_read(struct rw_semaphore *sem);
void down_write(struct rw_semaphore *sem);
bool down_write_trylock(struct rw_semaphore *sem);
int down_write_killable(struct rw_semaphore *sem);
void up_write(struct rw_semaphore *sem);
bool rwsem_is_contended(struct rw_semaphore *sem);
void spin_lock_init(spinlock_t *lock);
void spin_lock(spinlock_t *lock);
void spin_unlock(spinlock_t *lock);
int shim_locks_held(void);
#define lockdep_assert_held(lock)	do { } while (0)
#define lockdep_assert_held_read(lock)	do { } while (0)
#define lockdep_assert_held_write(lock)	do { } while (0)

struct rcu_head {
	void *unused;
};

#define rcu_read_lock()		do { } while (0)
#define rcu_read_unlock()	do { } while (0)
#define kfree_rcu(p, member)	kfree(p)

struct kref {
	atomic_t refcount;
};

static inline void kref_init(struct kref *ref)
{
	atomic_set(&ref->refcount, 1);
}

static inline void kref_get(struct kref *ref)
{
	atomic_inc(&ref->refcount);
}

static inline bool kref_get_unless_zero(struct kref *ref)
{
	return atomic_inc_not_zero(&ref->refcount);
}

static inline int kref_put(struct kref *ref, void (*release)(struct kref *))
{
	if (!atomic_dec_and_test(&ref->refcount))
		return 0;
	release(ref);
	return 1;
}

/* Memory */
#define GFP_KERNEL		0x1U
#define __GFP_ACCOUNT		0x2U
#define __GFP_NOWARN		0x4U
#define __GFP_RETRY_MAYFAIL	0x8U
#define __GFP_ZERO		0x10U
#define GFP_ATOMIC		0x20U
#define __GFP_NORETRY		0x40U
#define GFP_KERNEL_ACCOUNT	(GFP_KERNEL | __GFP_ACCOUNT)

struct page {
	struct list_head lru;
	unsigned long private;
};

static inline unsigned long page_private(const struct page *page)
{
	return page->private;
}

static inline void set_page_private(struct page *page, unsigned long private)
{
	page->private = private;
}

struct kmem_cache;

struct kmem_cache *kmem_cache_create(const char *name, unsigned int size,
				     unsigned int align, unsigned int flags,
				     void (*ctor)(void *));
void kmem_cache_destroy(struct kmem_cache *cache);
void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp);
void kmem_cache_free(struct kmem_cache *cache, void *obj);
struct page *alloc_page(gfp_t gfp);
void __free_page(struct page *page);
void *page_address(const struct page *page);
struct page *virt_to_page(const void *addr);
phys_addr_t page_to_phys(const struct page *page);
struct page *phys_to_page(phys_addr_t phys);
phys_addr_t virt_to_phys(const void *addr);
void *phys_to_virt(phys_addr_t phys);
void *kmalloc(size_t size, gfp_t gfp);
void kfree(const void *p);
#define kzalloc(size, gfp)		kmalloc(size, (gfp) | __GFP_ZERO)
#define kmalloc_obj(obj, gfp)		kmalloc(sizeof(obj), gfp)
#define kzalloc_obj(obj, gfp)		kzalloc(sizeof(obj), gfp)
#define kvmalloc(size, gfp)		kmalloc(size, gfp)
#define kvzalloc(size, gfp)		kzalloc(size, gfp)
#define kvfree(p)			kfree(p)
#define kmalloc_array(n, size, gfp)	kmalloc((size_t)(n) * (size), gfp)
#define kcalloc(n, size, gfp)		kzalloc((size_t)(n) * (size), gfp)

/* Pages that stand for guest frames; there is no memory behind them */
#define SHIM_FRAMES		65536
#define SHIM_FRAME_PHYS		0x20000000000ULL
extern struct page shim_frames[SHIM_FRAMES];

/* For the harness */
enum shim_alloc {
	SHIM_KMALLOC,
	SHIM_PAGE,
	SHIM_TABLE,
	SHIM_PT,
	NR_SHIM_ALLOCS,
};

bool shim_may_alloc(enum shim_alloc kind, gfp_t gfp);	/* by the harness */
void shim_table_freed(u64 phys);			/* by the harness */
long shim_live(enum shim_alloc kind);
bool shim_phys_live(u64 phys);
u64 *shim_phys_ptr(u64 phys);

#endif /* _KERNEL_SHIM_H */
