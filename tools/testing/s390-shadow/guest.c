// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory, and the guest operations on it
 *
 * Memory consists of slots of frames. A frame has contents once something was
 * stored to it; any other frame reads as the fill value of its slot. Counters are
 * relaxed atomics, so that they don't hide a missing barrier of the shadow.
 */

#include "s390-shadow-ops.h"

#include "harness.h"

struct frame {
	u64 *data;
	unsigned int pins[2];	/* [1]: for writing */
	bool unpinnable;
};

struct guest_stats guest_stats;
__thread u64 guest_call_entries;
struct guest_slot guest_slots[MAX_SLOTS];
u64 guest_charge_limit;
bool guest_pins_less;
bool guest_concurrent;
u64 guest_watched;
unsigned int guest_watched_reads[2];
void (*guest_torn_hook)(void);
void (*guest_pin_hook)(void);
void (*guest_read_hook)(void);

static struct frame frames[SHIM_FRAMES];
static unsigned int nr_slots, nr_frames;
static u64 charged, pinned;

#define count(var, n)	__atomic_fetch_add(&(var), n, __ATOMIC_RELAXED)
#define look(var)	__atomic_load_n(&(var), __ATOMIC_RELAXED)

void guest_reset(void)
{
	unsigned int i;

	for (i = 0; i < nr_frames; i++)
		free(frames[i].data);
	memset(frames, 0, nr_frames * sizeof(frames[0]));
	memset(&guest_stats, 0, sizeof(guest_stats));
	nr_slots = 0;
	nr_frames = 0;
	charged = 0;
	pinned = 0;
	guest_charge_limit = U64_MAX;
	guest_pins_less = false;
	guest_concurrent = false;
	guest_watched = U64_MAX;
	guest_pin_hook = NULL;
	guest_read_hook = NULL;
	guest_torn_hook = NULL;
}

unsigned int guest_add_slot(u64 gaddr, unsigned int nr, bool writable,
			    u64 fill)
{
	expect(nr_slots < MAX_SLOTS && nr_frames + nr <= SHIM_FRAMES,
	       "the test wants too much guest memory");
	guest_slots[nr_slots] = (struct guest_slot) {
		.gaddr = gaddr,
		.nr = nr,
		.base = nr_frames,
		.writable = writable,
		.fill = fill,
		.present = true,
	};
	nr_frames += nr;
	return nr_slots++;
}

void guest_slot_present(unsigned int slot, bool present)
{
	__atomic_store_n(&guest_slots[slot].present, present, __ATOMIC_SEQ_CST);
}

static const struct guest_slot *slot_of(u64 gaddr)
{
	unsigned int i;

	for (i = 0; i < nr_slots; i++)
		if (__atomic_load_n(&guest_slots[i].present, __ATOMIC_SEQ_CST) &&
		    gaddr >= guest_slots[i].gaddr &&
		    (gaddr - guest_slots[i].gaddr) >> PAGE_SHIFT <
		    guest_slots[i].nr)
			return &guest_slots[i];
	return NULL;
}

int guest_frame(u64 gaddr)
{
	const struct guest_slot *slot = slot_of(gaddr);

	return slot ? slot->base + ((gaddr - slot->gaddr) >> PAGE_SHIFT) : -1;
}

bool guest_frame_writable(u64 gaddr)
{
	const struct guest_slot *slot = slot_of(gaddr);

	return slot && slot->writable;
}

bool guest_frame_pinnable(u64 gaddr)
{
	int frame = guest_frame(gaddr);

	return frame >= 0 && !frames[frame].unpinnable;
}

void guest_set_pinnable(u64 gaddr, bool pinnable)
{
	frames[guest_frame(gaddr)].unpinnable = !pinnable;
}

bool guest_load(u64 gaddr, u64 *entry)
{
	const struct guest_slot *slot = slot_of(gaddr);
	const struct frame *frame;
	const u64 *data;

	if (!slot)
		return false;
	frame = &frames[slot->base + ((gaddr - slot->gaddr) >> PAGE_SHIFT)];
	data = __atomic_load_n(&frame->data, __ATOMIC_ACQUIRE);
	*entry = data ? __atomic_load_n(&data[offset_in_page(gaddr) / 8],
					__ATOMIC_ACQUIRE) : slot->fill;
	return true;
}

void guest_store(u64 gaddr, u64 entry)
{
	int frame = guest_frame(gaddr);
	u64 *data;

	if (frame < 0)
		return;
	if (!frames[frame].data) {
		data = malloc(PAGE_SIZE);
		memset64(data, slot_of(gaddr)->fill, PAGE_SIZE / 8);
		__atomic_store_n(&frames[frame].data, data, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&frames[frame].data[offset_in_page(gaddr) / 8], entry,
			 __ATOMIC_SEQ_CST);
}

unsigned int guest_frames(void)
{
	return nr_frames;
}

u64 guest_pinned(void)
{
	return look(pinned);
}

u64 guest_charged(void)
{
	return look(charged);
}

unsigned int guest_pins(unsigned int frame, bool write)
{
	return look(frames[frame].pins[write]);
}

u64 guest_slot_pinned(unsigned int slot)
{
	struct guest_slot *s = &guest_slots[slot];
	unsigned int i;
	u64 nr = 0;

	for (i = s->base; i < s->base + s->nr; i++)
		nr += guest_pins(i, false) + guest_pins(i, true);
	return nr;
}

void guest_check_slot_free(unsigned int slot)
{
	struct guest_slot *s = &guest_slots[slot];
	unsigned int i;

	for (i = s->base; i < s->base + s->nr; i++)
		expect(!guest_pins(i, false) && !guest_pins(i, true),
		       "frame %u is pinned in a memory slot that is gone", i);
}

/* The guest operations */

/* Load byte by byte: unlike a fetch, a read may return a torn entry */
static bool load_bytes(u64 gaddr, u64 *entry)
{
	const struct guest_slot *slot = slot_of(gaddr);
	const u8 *data;
	unsigned int i;
	u8 bytes[8];

	if (!guest_load(gaddr, entry))
		return false;
	data = (u8 *)frames[slot->base +
			    ((gaddr - slot->gaddr) >> PAGE_SHIFT)].data;
	if (!data || (!guest_concurrent && gaddr != guest_watched))
		return true;
	data += offset_in_page(gaddr);
	for (i = 0; i < 8; i++) {
		if (i == 4 && gaddr == guest_watched && guest_torn_hook)
			guest_torn_hook();
		bytes[i] = __atomic_load_n(&data[i], __ATOMIC_ACQUIRE);
	}
	memcpy(entry, bytes, 8);
	return true;
}

static int copy(void *guest, u64 gaddr, u64 *dst, unsigned int nr, bool whole)
{
	unsigned int i;
	int rc;

	shim_might_sleep();
	count(guest_stats.reads, 1);
	count(guest_stats.entries, nr);
	guest_call_entries += nr;
	expect(guest_call_entries < MAX_CALL_ENTRIES,
	       "one call reads more than %u entries", MAX_CALL_ENTRIES);
	expect(guest == &world, "read: not the guest that was given");
	expect(nr && gaddr % 8 == 0 &&
	       (whole ? offset_in_page(gaddr) + nr * 8 <= PAGE_SIZE :
			nr <= 2048),
	       "read: %u entries at 0x%llx", nr, gaddr);
	rc = fault_hit(FAULT_READ);
	if (rc)
		return rc;
	for (i = 0; i < nr; i++)
		if (!(whole ? guest_load(gaddr + i * 8, &dst[i]) :
			      load_bytes(gaddr + i * 8, &dst[i])))
			return -EFAULT;
	if (guest_watched >= gaddr && guest_watched < gaddr + nr * 8) {
		count(guest_watched_reads[whole], 1);
		if (guest_read_hook)
			guest_read_hook();
	}
	return 0;
}

static int op_read(void *guest, u64 gaddr, u64 *dst, unsigned int nr)
{
	return copy(guest, gaddr, dst, nr, false);
}

static int op_fetch(void *guest, u64 gaddr, u64 *dst, unsigned int nr)
{
	return copy(guest, gaddr, dst, nr, true);
}

static int fetch_entry(void *guest, enum zpci_table_level level, u64 gaddr,
		       u64 *entry)
{
	return op_fetch(guest, gaddr, entry, 1);
}

static int op_walk(void *guest, struct dma_walk *path, u64 *pte,
		   unsigned int nr)
{
	int rc = dma_walk_trans(path, ZPCI_LEVEL_PT, fetch_entry, guest);

	if (rc != ZPCI_ENTRY_TABLE || !nr)
		return rc;
	return op_fetch(guest, path->addr +
			zpci_table_index(ZPCI_LEVEL_PT, path->iova) * sizeof(*pte),
			pte, nr) ?: rc;
}

static long op_pin(void *guest, const u64 *gaddr, unsigned int nr,
		   struct page **pages)
{
	unsigned int i;
	int rc, frame;

	shim_might_sleep();
	count(guest_stats.pin_calls, 1);
	expect(guest == &world && nr, "pin: %u frames", nr);
	if (guest_pin_hook)
		guest_pin_hook();
	rc = fault_hit(FAULT_PIN);
	if (rc)
		return rc;
	if (guest_pins_less)
		nr = 1 + rnd_below(nr);
	for (i = 0; i < nr; i++) {
		bool write = !(gaddr[i] & S390_SHADOW_FRAME_PROTECTED);
		u64 a = gaddr[i] & PAGE_MASK;

		expect(!(gaddr[i] & ~PAGE_MASK & ~S390_SHADOW_FRAME_PROTECTED),
		       "pin: no address of a frame: 0x%llx", gaddr[i]);
		frame = guest_frame(a);
		if (frame < 0 || frames[frame].unpinnable ||
		    (write && !guest_frame_writable(a)))
			break;
		count(frames[frame].pins[write], 1);
		pages[i] = &shim_frames[frame];
	}
	count(pinned, i);
	count(guest_stats.frames_pinned, i);
	/* Pages are charged before they are pinned; exact without other threads */
	expect(guest_concurrent || look(pinned) <= look(charged),
	       "pinned, but not charged: %llu > %llu", look(pinned),
	       look(charged));
	return i ? (long)i : -EFAULT;
}

static void uncharge(unsigned long nr)
{
	expect(look(charged) >= nr, "uncharged more than was charged");
	count(charged, -(u64)nr);
	expect(guest_concurrent || look(pinned) <= look(charged),
	       "uncharged, but still pinned: %llu > %llu", look(pinned),
	       look(charged));
}

static void op_unpin(void *guest, const struct s390_shadow_frame *pins,
		     unsigned int nr)
{
	unsigned int i, frame;

	shim_might_sleep();
	expect(guest == &world && nr, "unpin: %u pages", nr);
	for (i = 0; i < nr; i++) {
		bool dirty = !(pins[i].gaddr & S390_SHADOW_FRAME_PROTECTED);
		int now = guest_frame(pins[i].gaddr & PAGE_MASK);

		frame = phys_to_page(pins[i].addr) - shim_frames;
		expect(frame < nr_frames, "unpin: not a frame of the guest");
		expect(look(frames[frame].pins[dirty]),
		       "frame %u unpinned %s, but is not pinned like that", frame,
		       dirty ? "dirty" : "clean");
		count(frames[frame].pins[dirty], -1);
		function_frame_unpinned(frame);
		expect(now < 0 || (unsigned int)now == frame,
		       "frame %u unpinned as that at 0x%llx", frame,
		       pins[i].gaddr);
	}
	count(pinned, -(u64)nr);
	uncharge(nr);
}

static int op_charge(void *guest, unsigned long nr)
{
	int rc;
	u64 now;

	shim_might_sleep();
	count(guest_stats.charge_calls, 1);
	expect(guest == &world && nr, "charge: %lu pages", nr);
	rc = fault_hit(FAULT_CHARGE);
	if (rc)
		return rc;
	now = count(charged, nr) + nr;
	if (now > guest_charge_limit) {
		count(charged, -(u64)nr);
		return -ENOMEM;
	}
	return 0;
}

static void op_uncharge(void *guest, unsigned long nr)
{
	shim_might_sleep();
	expect(guest == &world && nr, "uncharge: %lu pages", nr);
	uncharge(nr);
}

const struct s390_shadow_guest_ops guest_ops = {
	.read = op_read,
	.fetch = op_fetch,
	.walk = op_walk,
	.pin = op_pin,
	.unpin = op_unpin,
	.charge = op_charge,
	.uncharge = op_uncharge,
};
