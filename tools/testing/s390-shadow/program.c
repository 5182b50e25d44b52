// SPDX-License-Identifier: GPL-2.0
/*
 * Turn bytes into actions of a guest and of its environment
 *
 * The first two bytes choose the formats, the aperture and the kind of function.
 * The others are actions with their operands. Any bytes are a valid program. Each
 * byte chooses from a small set, so that actions often hit the same entries.
 *
 * The fuzzer runs such programs, and the random tests run them on random bytes.
 */

#include "harness.h"

struct input {
	const u8 *data;
	size_t left;
};

static u8 byte(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->data++;
}

static u64 word(struct input *in)
{
	u64 v = 0;
	int i;

	for (i = 0; i < 8; i++)
		v = v << 8 | byte(in);
	return v;
}

/* Pick an index: an end, near the middle, or any */
static unsigned int pick_index(struct input *in, int level)
{
	unsigned int max = level == PT ? 255 : 2047;
	u8 b = byte(in);

	switch (b & 7) {
	case 0:
		return 0;
	case 1:
		return 1;
	case 2:
		return max;
	case 3:
		return max - 1;
	case 4:
	case 5:
		return b >> 3;
	default:
		return (b * 37) & max;
	}
}

static u64 pick_iova(struct input *in)
{
	u64 iova = 0;
	int level;

	for (level = world.top; level >= PT; level--)
		iova |= (u64)pick_index(in, level) <<
			(level == PT ? 12 : 20 + 11 * (level - ST));
	return min(max(iova, world.pba), world.pal & ~0xfffULL);
}

static u64 pick_frame(struct input *in)
{
	u8 b = byte(in), c = byte(in);

	switch (b & 15) {
	case 0:
		return WORLD_RO + (c % WORLD_RO_NR) * 4096ULL;
	case 1:
		return WORLD_HIGH + c * 4096ULL;
	case 2:		/* near the end of a slot */
		return WORLD_DATA + (WORLD_DATA_NR - 4 + c % 8) * 4096ULL;
	case 3:
		return WORLD_HOLE + c * 4096ULL;
	case 4:		/* the tables themselves */
		return world_table(c % 5, c % WORLD_TABLES) & ~0xfffULL;
	case 5:
		return 0;
	case 6:
		return word(in) & ~0xfffULL;
	default:	/* consecutive frames */
		return WORLD_DATA + ((b >> 4) * 32 + c) * 4096ULL;
	}
}

/* Pick an entry of any kind for a table of @level */
static u64 pick_entry(struct input *in, int level)
{
	u8 b = byte(in);
	u64 e;

	if (level == PT)
		e = pick_frame(in);
	else if (level == ST && b & 0x80)	/* a 1 MiB frame */
		e = (WORLD_DATA + (b >> 4 & 3) * 0x100000ULL) | 0x400;
	else
		e = world_entry(level, world_table(level - 1, b >> 4 & 3));
	switch (b & 15) {
	case 0:
	case 1:
		return e | 0x200;
	case 2:
		return e | (level == PT ? 0x400 : 0x20);
	case 3:
		return 0;
	case 4:
		return level == PT ? NO_PTE : 0x20;
	case 5:		/* defined and reserved bits */
		return e ^ 1ULL << (byte(in) % 12);
	case 6:
		return word(in);
	case 7:		/* a table of any level */
		return e - (e & 0x3fff) + (e & 0xfff) + (byte(in) % 32) * 0x800;
	case 8:
		return (e & 0xfff) | WORLD_HOLE;
	default:
		return e;
	}
}

static void act_store(struct input *in)
{
	u8 b = byte(in);
	int level = b % 5;
	unsigned int nr, i, index, n;
	u64 entry;

	if (level > world.top)
		level = PT;
	nr = level == PT ? b / 5 % WORLD_PTS : b / 5 % WORLD_TABLES;
	index = pick_index(in, level);
	entry = pick_entry(in, level);
	n = b & 0x80 && level == PT ? 1 + byte(in) % 48 : 1;
	for (i = 0; i < n && index + i < 256 + 1792 * !!level; i++)
		guest_store(world_table(level, nr) + (index + i) * 8,
			    level == PT && !(entry & NO_PTE) && entry ?
			    entry + i * 4096ULL : entry);
}

static void act_refresh(struct input *in)
{
	u8 b = byte(in);
	u64 first = world.pba, last = world.pal;
	int rc;

	switch (b & 7) {
	case 0:
	case 1:
		break;
	case 2:		/* one page */
		first = pick_iova(in);
		last = first | 0xfff;
		break;
	case 3:		/* a segment */
		first = max(pick_iova(in) & ~0xfffffULL, world.pba);
		last = min(first | 0xfffff, world.pal);
		break;
	case 4:		/* from a page to the end, or from the start to it */
		first = pick_iova(in);
		break;
	case 5:
		last = pick_iova(in) | 0xfff;
		break;
	default:
		first = pick_iova(in);
		last = pick_iova(in) | 0xfff;
		if (first > last) {
			u64 swap = first;

			first = last & ~0xfffULL;
			last = swap | 0xfff;
		}
	}
	/* Without faults and limits the oracle knows the result */
	if (!fault_pending() && function_host_limit == U64_MAX &&
	    guest_charge_limit == U64_MAX && fault_table_limit == U64_MAX &&
	    engine_alive()) {
		check_refresh_no_fault(first, last, 0);
		return;
	}
	rc = check_refresh(first, last, b & 0x40);
	fault_clear_signal();
	if (rc == -EINTR)
		check_refresh(first, last, true);
	fault_clear_signal();
}

static void act_fault(struct input *in)
{
	static const int rcs[NR_FAULTS][2] = {
		[FAULT_READ] = { -EFAULT, -EINTR },
		[FAULT_PIN] = { -EFAULT, -ENOMEM },
		[FAULT_CHARGE] = { -ENOMEM, -EINTR },
		[FAULT_REFRESH] = { -EIO, -ENOMEM },
		[FAULT_KMALLOC] = { -ENOMEM, -ENOMEM },
		[FAULT_PAGE] = { -ENOMEM, -ENOMEM },
		[FAULT_TABLE] = { -ENOMEM, -ENOMEM },
		[FAULT_SIGNAL] = { -EINTR, -EINTR },
		[FAULT_KILL] = { -EINTR, -EINTR },
	};
	u8 b = byte(in), c = byte(in);
	enum fault fault = 1 + b % (NR_FAULTS - 1);

	fault_arm(fault, 1 + (c & 31), 1 + (c >> 5), rcs[fault][b >> 7]);
}

static void act_limit(struct input *in)
{
	u8 b = byte(in), c = byte(in);
	u64 limit = c == 255 ? U64_MAX : c;

	switch (b % 3) {
	case 0:
		guest_charge_limit = limit;
		break;
	case 1:
		function_host_limit = limit;
		break;
	default:
		fault_table_limit = limit;
	}
}

/* Remove a memory slot, or add it again */
static void act_slot(struct input *in)
{
	unsigned int slot = 1 + byte(in) % 3;
	struct guest_slot *s = &guest_slots[slot];

	if (!engine_alive())
		return;
	guest_slot_present(slot, !s->present);
	if (s->present)
		return;
	function_access_all();
	engine_unmap_gpa_range(s->gaddr, s->gaddr + s->nr * 4096ULL - 1);
	guest_check_slot_free(slot);
	check_invariants();
}

static void choose_world(struct input *in)
{
	u8 b = byte(in), c = byte(in);
	int top = ST, i;
	u64 reach;

	/* Region third, second, first or segment table, if supported */
	for (i = 0; i <= (b & 3); i++)
		if (!world_next_top(&top)) {
			top = PT;
			world_next_top(&top);
		}
	world_init(top, b & 4);
	guest_pins_less = b & 8;
	world.host_top = c & 7;
	if (world.host_top > RF)
		world.host_top = RT;
	reach = world_reach(top);
	switch (b >> 4 & 3) {
	case 0:		/* as in Linux */
		if (top > ST) {
			world.pba = 0x100000000ULL;
			world.pal = 0x2ffffffffULL;
		}
		break;
	case 1:		/* ends within segments and regions */
		world.pba = 0x7ff000;
		world.pal = min(reach, 0x80200fffULL);
		break;
	case 2:		/* all */
		break;
	default:	/* the end */
		world.pba = reach - 0x200fff;
		world.pal = reach;
	}
	if (b & 0x40)
		world.iota |= 0x200;
	if (!(b & 0x80))
		world_link(world.pba, 0);
}

/* Remove all faults and limits */
static void clear_faults(void)
{
	fault_arm(FAULT_NONE, 0, 0, 0);
	fault_clear_signal();
	function_host_limit = U64_MAX;
	guest_charge_limit = U64_MAX;
	fault_table_limit = U64_MAX;
}

void program_run(const u8 *data, size_t size)
{
	struct input in = { data, size };
	int actions = 0;

	choose_world(&in);
	world_create();
	while (in.left && actions++ < 200) {
		u8 b = byte(&in);

		switch (b & 15) {
		case 0:
		case 1:
		case 2:
		case 3:
		case 4:
		case 5:
			act_store(&in);
			break;
		case 6:
			world_link(pick_iova(&in), b >> 4 & 7);
			break;
		case 7:
			world_map(pick_iova(&in), b >> 4 & 7, pick_frame(&in),
				  b & 0x80);
			break;
		case 8:
			act_fault(&in);
			break;
		case 9:
			act_limit(&in);
			break;
		case 10:
			act_slot(&in);
			break;
		case 11:	/* tear down, then create a shadow of the same tables */
			if (b >> 4 != 15)
				goto refresh;
			clear_faults();
			world_end();
			world_create();
			break;
		default:
refresh:
			act_refresh(&in);
		}
	}
	clear_faults();
	if (engine_alive())
		check_refresh_no_fault(world.pba, world.pal, 0);
	world_end();
}
