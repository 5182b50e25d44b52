// SPDX-License-Identifier: GPL-2.0
/* User-space shim of the kernel API that the shadow's source files use */

#include <sched.h>
#include <sys/mman.h>

#include "kernel-shim.h"

#if defined(SHIM_ASAN)
#elif defined(__SANITIZE_ADDRESS__)
#define SHIM_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SHIM_ASAN
#endif
#endif

#ifdef SHIM_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n)		((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n)	((void)(p), (void)(n))
#endif

#define ARENA_PAGES		(1U << 18)
#define ARENA_PHYS		0x10000000000ULL

/* Reuse a freed object only after this many others were freed */
#define QUARANTINE		64

struct kmem_cache {
	unsigned int pages;
	enum shim_alloc kind;
};

struct page shim_frames[SHIM_FRAMES];

static struct page arena_pages[ARENA_PAGES];
static u8 arena_used[ARENA_PAGES];	/* number of pages of the object that begins here */
static char *arena;
static unsigned int arena_next;
static long live[NR_SHIM_ALLOCS];
static pthread_mutex_t arena_lock = PTHREAD_MUTEX_INITIALIZER;

/* Freed objects by size: first in, first out, linked by page number */
static struct {
	unsigned int head, tail, nr;
} freed[5];
static unsigned int freed_next[ARENA_PAGES];

static __thread int locks_held;
static __thread int atomic_depth;

/* Locks */

void shim_might_sleep(void)
{
	WARN_ON(atomic_depth);
}

void shim_resched(void)
{
	shim_might_sleep();
}

int shim_locks_held(void)
{
	return locks_held;
}

void mutex_init(struct mutex *mutex)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(&mutex->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	mutex->locked = 0;
}

void mutex_lock(struct mutex *mutex)
{
	shim_might_sleep();
	/* A recursive lock returns EDEADLK */
	WARN_ON(pthread_mutex_lock(&mutex->lock));
	__atomic_store_n(&mutex->locked, 1, __ATOMIC_SEQ_CST);
	locks_held++;
}

int mutex_lock_killable(struct mutex *mutex)
{
	if (shim_fatal_signal_pending())
		return -EINTR;
	mutex_lock(mutex);
	return 0;
}

bool mutex_trylock(struct mutex *mutex)
{
	if (pthread_mutex_trylock(&mutex->lock))
		return false;
	__atomic_store_n(&mutex->locked, 1, __ATOMIC_SEQ_CST);
	locks_held++;
	return true;
}

void mutex_unlock(struct mutex *mutex)
{
	__atomic_store_n(&mutex->locked, 0, __ATOMIC_SEQ_CST);
	WARN_ON(pthread_mutex_unlock(&mutex->lock));
	locks_held--;
}

bool mutex_is_locked(struct mutex *mutex)
{
	return __atomic_load_n(&mutex->locked, __ATOMIC_SEQ_CST);
}

void init_rwsem(struct rw_semaphore *sem)
{
	pthread_rwlockattr_t attr;

	/* As in the kernel, a waiting writer blocks new readers */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr,
				      PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&sem->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	sem->waiting = 0;
}

static void rwsem_wait(struct rw_semaphore *sem,
		       int (*lock)(pthread_rwlock_t *lock))
{
	__atomic_fetch_add(&sem->waiting, 1, __ATOMIC_RELAXED);
	WARN_ON(lock(&sem->lock));
	__atomic_fetch_sub(&sem->waiting, 1, __ATOMIC_RELAXED);
}

bool rwsem_is_contended(struct rw_semaphore *sem)
{
	return __atomic_load_n(&sem->waiting, __ATOMIC_RELAXED);
}

void down_read(struct rw_semaphore *sem)
{
	shim_might_sleep();
	if (down_read_trylock(sem))
		return;
	rwsem_wait(sem, pthread_rwlock_rdlock);
	locks_held++;
}

int down_read_killable(struct rw_semaphore *sem)
{
	if (shim_fatal_signal_pending())
		return -EINTR;
	down_read(sem);
	return 0;
}

bool down_read_trylock(struct rw_semaphore *sem)
{
	if (pthread_rwlock_tryrdlock(&sem->lock))
		return false;
	locks_held++;
	return true;
}

void up_read(struct rw_semaphore *sem)
{
	WARN_ON(pthread_rwlock_unlock(&sem->lock));
	locks_held--;
}

void down_write(struct rw_semaphore *sem)
{
	shim_might_sleep();
	if (down_write_trylock(sem))
		return;
	rwsem_wait(sem, pthread_rwlock_wrlock);
	locks_held++;
}

bool down_write_trylock(struct rw_semaphore *sem)
{
	if (pthread_rwlock_trywrlock(&sem->lock))
		return false;
	locks_held++;
	return true;
}

int down_write_killable(struct rw_semaphore *sem)
{
	if (shim_fatal_signal_pending())
		return -EINTR;
	down_write(sem);
	return 0;
}

void up_write(struct rw_semaphore *sem)
{
	up_read(sem);
}

void spin_lock_init(spinlock_t *lock)
{
	pthread_mutex_init(&lock->lock, NULL);
}

void spin_lock(spinlock_t *lock)
{
	WARN_ON(pthread_mutex_lock(&lock->lock));
	atomic_depth++;
	locks_held++;
}

void spin_unlock(spinlock_t *lock)
{
	locks_held--;
	atomic_depth--;
	WARN_ON(pthread_mutex_unlock(&lock->lock));
}

/* Memory */

static void count(enum shim_alloc kind, long nr)
{
	__atomic_fetch_add(&live[kind], nr, __ATOMIC_RELAXED);
}

long shim_live(enum shim_alloc kind)
{
	return __atomic_load_n(&live[kind], __ATOMIC_RELAXED);
}

static bool may_alloc(enum shim_alloc kind, gfp_t gfp)
{
	if (gfp & GFP_KERNEL)
		shim_might_sleep();
	return shim_may_alloc(kind, gfp);
}

static unsigned int arena_alloc(unsigned int pages)
{
	unsigned int nr;

	pthread_mutex_lock(&arena_lock);
	if (!arena) {
		arena = mmap(NULL, (ARENA_PAGES + 4) * PAGE_SIZE,
			     PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		WARN_ON(arena == MAP_FAILED);
		arena = (char *)round_up((uintptr_t)arena, 4 * PAGE_SIZE);
	}
	if (freed[pages].nr > QUARANTINE) {
		nr = freed[pages].head;
		freed[pages].head = freed_next[nr];
		freed[pages].nr--;
	} else {
		arena_next = round_up(arena_next, pages);
		nr = arena_next;
		arena_next += pages;
		WARN_ON(arena_next > ARENA_PAGES);
	}
	__atomic_store_n(&arena_used[nr], pages, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&arena_lock);
	ASAN_UNPOISON_MEMORY_REGION(arena + nr * PAGE_SIZE, pages * PAGE_SIZE);
	memset(arena + nr * PAGE_SIZE, 0x5a, pages * PAGE_SIZE);
	return nr;
}

static void arena_free(unsigned int nr, unsigned int pages)
{
	WARN_ON(nr >= ARENA_PAGES || arena_used[nr] != pages);
	shim_table_freed(ARENA_PHYS + nr * PAGE_SIZE);
	memset(arena + nr * PAGE_SIZE, 0xa5, pages * PAGE_SIZE);
	ASAN_POISON_MEMORY_REGION(arena + nr * PAGE_SIZE, pages * PAGE_SIZE);
	pthread_mutex_lock(&arena_lock);
	__atomic_store_n(&arena_used[nr], 0, __ATOMIC_RELEASE);
	if (freed[pages].nr++)
		freed_next[freed[pages].tail] = nr;
	else
		freed[pages].head = nr;
	freed[pages].tail = nr;
	pthread_mutex_unlock(&arena_lock);
}

static unsigned int arena_nr(const void *addr)
{
	size_t offset = (const char *)addr - arena;

	WARN_ON((const char *)addr < arena ||
		offset >= ARENA_PAGES * PAGE_SIZE);
	return offset >> PAGE_SHIFT;
}

bool shim_phys_live(u64 phys)
{
	u64 nr = (phys - ARENA_PHYS) >> PAGE_SHIFT;

	return phys >= ARENA_PHYS && nr < ARENA_PAGES &&
	       __atomic_load_n(&arena_used[nr], __ATOMIC_ACQUIRE);
}

u64 *shim_phys_ptr(u64 phys)
{
	return phys_to_virt(phys);
}

phys_addr_t virt_to_phys(const void *addr)
{
	arena_nr(addr);
	return ARENA_PHYS + ((const char *)addr - arena);
}

void *phys_to_virt(phys_addr_t phys)
{
	WARN_ON(phys < ARENA_PHYS ||
		phys >= ARENA_PHYS + ARENA_PAGES * PAGE_SIZE);
	return arena + (phys - ARENA_PHYS);
}

void *page_address(const struct page *page)
{
	size_t nr = page - arena_pages;

	WARN_ON(page < arena_pages || nr >= ARENA_PAGES);
	return arena + nr * PAGE_SIZE;
}

struct page *virt_to_page(const void *addr)
{
	return &arena_pages[arena_nr(addr)];
}

phys_addr_t page_to_phys(const struct page *page)
{
	if (page >= shim_frames && page < shim_frames + SHIM_FRAMES)
		return SHIM_FRAME_PHYS + (page - shim_frames) * PAGE_SIZE;
	return virt_to_phys(page_address(page));
}

struct page *phys_to_page(phys_addr_t phys)
{
	u64 nr = (phys - SHIM_FRAME_PHYS) >> PAGE_SHIFT;

	if (phys >= SHIM_FRAME_PHYS && nr < SHIM_FRAMES)
		return &shim_frames[nr];
	return virt_to_page(phys_to_virt(phys));
}

struct page *alloc_page(gfp_t gfp)
{
	if (!may_alloc(SHIM_PAGE, gfp))
		return NULL;
	count(SHIM_PAGE, 1);
	return &arena_pages[arena_alloc(1)];
}

void __free_page(struct page *page)
{
	count(SHIM_PAGE, -1);
	arena_free(page - arena_pages, 1);
}

struct kmem_cache *kmem_cache_create(const char *name, unsigned int size,
				     unsigned int align, unsigned int flags,
				     void (*ctor)(void *))
{
	struct kmem_cache *cache = malloc(sizeof(*cache));

	/* Each object has pages of its own, aligned to its size */
	WARN_ON(!name || align > size || flags || ctor ||
		size > 4 * PAGE_SIZE);
	cache->pages = (size + PAGE_SIZE - 1) / PAGE_SIZE;
	cache->kind = cache->pages > 1 ? SHIM_TABLE : SHIM_PT;
	return cache;
}

void kmem_cache_destroy(struct kmem_cache *cache)
{
	free(cache);
}

void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp)
{
	unsigned int nr;

	if (!may_alloc(cache->kind, gfp))
		return NULL;
	count(cache->kind, 1);
	nr = arena_alloc(cache->pages);
	return arena + nr * PAGE_SIZE;
}

void kmem_cache_free(struct kmem_cache *cache, void *obj)
{
	WARN_ON(offset_in_page(obj));
	count(cache->kind, -1);
	arena_free(arena_nr(obj), cache->pages);
}

void *kmalloc(size_t size, gfp_t gfp)
{
	void *p;

	if (!may_alloc(SHIM_KMALLOC, gfp))
		return NULL;
	count(SHIM_KMALLOC, 1);
	/* Align to 64 bytes like the kernel, for struct s390_shadow_bucket */
	if (posix_memalign(&p, 64, size))
		abort();
	memset(p, gfp & __GFP_ZERO ? 0 : 0x5a, size);
	return p;
}

void kfree(const void *p)
{
	if (!p)
		return;
	count(SHIM_KMALLOC, -1);
	free((void *)p);
}
