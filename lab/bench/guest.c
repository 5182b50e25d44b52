// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that only executes RPCITs, for a real QEMU
 *
 * It runs the cases of zpci_bench. The host kernel or QEMU carries out the RPCITs.
 * The guest runs without DAT and without interruptions and enables the first PCI
 * function. It prints the lines of zpci_bench to the SCLP console:
 * "# bench CASE COST PAGES 0 0". It ends in a disabled wait with address 0. After an
 * error it prints a line with the reason, and the address is 0xbad.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

#define PAGE		4096UL
#define MANY		256UL
#define REPETITIONS	9

/* Where things are in the guest's memory; the program is at 64 KiB. */
#define TABLES		0x1000000UL
#define DATA		0x2000000UL
#define OTHER_DATA	0x2300000UL

/* As in arch/s390/include/asm/pci_dma.h */
#define IOTA_RTTO	0x804UL		/* enabled, region-third table */
#define TABLE_INVALID	0x20UL
#define RTE_TYPE	0x07UL		/* region-third, full length */
#define PTE_INVALID	0x400UL

/* As in arch/s390/include/asm/clp.h, pci_clp.h and pci_insn.h */
#define CLP_LIST_PCI		2
#define CLP_QUERY_PCI_FN	3
#define CLP_SET_PCI_FN		5
#define CLP_RC_OK		0x10
#define MPCIFC_REG_IOAT		4

static u8 clp_block[PAGE] __attribute__((aligned(4096)));
static u8 sccb[PAGE] __attribute__((aligned(4096)));
static u64 fh, pba, pal;

/* Section: to say something, and to end */

static void store16(u8 *p, u32 value)
{
	p[0] = value >> 8;
	p[1] = value;
}

static void servc(u32 command)
{
	asm volatile("	.insn	rre,0xb2200000,%[command],%[sccb]\n"
		     : : [command] "d" (command), [sccb] "a" (sccb)
		     : "cc", "memory");
}

/* SCLP: header of 8 bytes, then an event with a header of 6 */
static void print(const char *text)
{
	u32 n = 0, i;

	for (i = 0; i < 64; i++)
		sccb[i] = 0;
	while (text[n]) {
		sccb[14 + n] = text[n];
		n++;
	}
	store16(sccb, 14 + n);
	store16(sccb + 8, 6 + n);
	sccb[10] = 0x1a;	/* ASCII console */
	servc(0x00760005);	/* write event data */
}

static void open_console(void)
{
	u32 i;

	for (i = 0; i < 64; i++)
		sccb[i] = 0;
	store16(sccb, 28);
	store16(sccb + 10, 4);	/* length of a mask */
	sccb[15 + 4] = 0x40;	/* what is sent: bit 26 is ASCII console */
	servc(0x00780005);	/* write event mask */
}

static void end(u64 address)
{
	u64 psw[2] = { 0x0002000180000000UL, address };

	asm volatile("	lpswe	0(%[psw])\n" : : [psw] "a" (psw) : "memory");
	__builtin_unreachable();
}

static char *put(char *p, const char *text)
{
	while (*text)
		*p++ = *text++;
	return p;
}

static char *put_number(char *p, u64 value)
{
	char digits[20];
	int n = 0;

	do {
		digits[n++] = '0' + value % 10;
		value /= 10;
	} while (value);
	while (n)
		*p++ = digits[--n];
	return p;
}

static void fail(const char *what, u64 number)
{
	char line[100], *p;

	p = put(line, "# the guest failed: ");
	p = put(p, what);
	p = put(p, " ");
	p = put_number(p, number);
	*put(p, "\n") = 0;
	print(line);
	end(0xbad);
}

/* Section: the function */

static void clp(u16 command, u16 length, u16 response)
{
	u64 request = (u64)clp_block;
	u32 cc;

	store16(clp_block, length);
	store16(clp_block + 2, command);
	store16(clp_block + length, response);
	asm volatile("	.insn	rrf,0xb9a00000,%%r0,%[request],0,2\n"
		     "	ipm	%[cc]\n"
		     "	srl	%[cc],28\n"
		     : [cc] "=d" (cc) : [request] "a" (request)
		     : "cc", "memory", "r0");
	if (cc || *(u16 *)(clp_block + length + 2) != CLP_RC_OK)
		fail("CLP", command << 16 | *(u16 *)(clp_block + length + 2));
}

static void clear_clp(void)
{
	u64 i;

	for (i = 0; i < PAGE; i++)
		clp_block[i] = 0;
}

static void enable_function(void)
{
	u32 *response;

	clear_clp();
	clp(CLP_LIST_PCI, 32, PAGE - 32);
	/* The first entry: IDs, state, FID, handle */
	response = (u32 *)(clp_block + 32 + 32);
	fh = response[3];
	if (!fh)
		fail("no function", 0);

	clear_clp();
	*(u32 *)(clp_block + 16) = fh;
	clp(CLP_QUERY_PCI_FN, 32, PAGE - 32);
	pba = *(u64 *)(clp_block + 32 + 64);
	pal = *(u64 *)(clp_block + 32 + 72);

	clear_clp();
	*(u32 *)(clp_block + 16) = fh;
	clp_block[16 + 6] = 0;	/* enable */
	clp_block[16 + 7] = 1;	/* one DMA space */
	clp(CLP_SET_PCI_FN, 32, 32);
	fh = *(u32 *)(clp_block + 32 + 16);
}

static void register_table(void)
{
	u64 fib[11] = {}, request = fh << 32 | 0 << 16 | MPCIFC_REG_IOAT;
	u32 cc;

	fib[2] = pba;
	fib[3] = pal;
	fib[4] = TABLES | IOTA_RTTO;
	asm volatile("	.insn	rxy,0xe300000000d0,%[request],%[fib]\n"
		     "	ipm	%[cc]\n"
		     "	srl	%[cc],28\n"
		     : [cc] "=d" (cc), [request] "+d" (request), [fib] "+Q" (fib)
		     : : "cc");
	if (cc)
		fail("MPCIFC", cc << 8 | (request >> 24 & 0xff));
}

/* What it takes, in units of the TOD clock, 4096 of which are a microsecond */
static u64 rpcit(u64 iova, u64 size)
{
	register u64 r2 asm("2") = fh << 32;
	register u64 r4 asm("4") = iova;
	register u64 r5 asm("5") = size;
	u64 before = 0, after = 0;
	u32 cc;

	asm volatile("	.insn	s,0xb27c0000,%[before]\n"
		     "	.insn	rre,0xb9d30000,%%r2,%%r4\n"
		     "	ipm	%[cc]\n"
		     "	srl	%[cc],28\n"
		     "	.insn	s,0xb27c0000,%[after]\n"
		     : [cc] "=&d" (cc), [before] "=Q" (before),
		       [after] "=Q" (after), "+d" (r2), "+d" (r4), "+d" (r5)
		     : : "cc", "memory");
	if (cc)
		fail("RPCIT", cc << 8 | (r2 >> 24 & 0xff));
	return after - before;
}

/* Section: its tables */

static u64 next_table = TABLES;

static u64 *new_table(u64 size, u64 invalid)
{
	u64 *table, i;

	next_table = (next_table + size - 1) & -size;
	table = (u64 *)next_table;
	next_table += size;
	for (i = 0; i < size / sizeof(*table); i++)
		table[i] = invalid;
	return table;
}

static u64 *entry(u64 iova)
{
	u64 *e = (u64 *)TABLES + (iova >> 31 & 0x7ff);

	if (*e & TABLE_INVALID)
		*e = (u64)new_table(0x4000, TABLE_INVALID) | RTE_TYPE;
	e = (u64 *)(*e & ~0x3fffUL) + (iova >> 20 & 0x7ff);
	if (*e & TABLE_INVALID)
		*e = (u64)new_table(0x800, PTE_INVALID);
	return (u64 *)(*e & ~0x7ffUL) + (iova >> 12 & 0xff);
}

static void set_entries(u64 iova, u64 address, u64 nr, u64 stride)
{
	u64 i;

	for (i = 0; i < nr; i++)
		*entry(iova + i * PAGE) = address + i * stride * PAGE;
}

static void clear_entries(u64 iova, u64 nr)
{
	u64 i;

	for (i = 0; i < nr; i++)
		*entry(iova + i * PAGE) |= PTE_INVALID;
}

/* Section: the cases */

static u64 median(u64 *values, u64 nr)
{
	u64 i, j, value;

	for (i = 1; i < nr; i++) {
		value = values[i];
		for (j = i; j && values[j - 1] > value; j--)
			values[j] = values[j - 1];
		values[j] = value;
	}
	return values[nr / 2];
}

static void tell(const char *what, const char *way, u64 *ticks, u64 nr, u64 pages)
{
	char line[100], *p;

	p = put(line, "# bench ");
	p = put(p, what);
	p = put(p, way);
	p = put(p, " ");
	p = put_number(p, (median(ticks, nr) * 1000 + 2048) / 4096);
	p = put(p, " ");
	p = put_number(p, pages);
	*put(p, " 0 0\n") = 0;
	print(line);
}

static void bench_pages(u64 iova, const char *way, u64 nr, u64 stride)
{
	u64 map[REPETITIONS], remap[REPETITIONS], same[REPETITIONS];
	u64 unmap[REPETITIONS], i;

	for (i = 0; i < REPETITIONS; i++) {
		set_entries(iova, DATA, nr, stride);
		map[i] = rpcit(iova, nr * PAGE);
		same[i] = rpcit(iova, nr * PAGE);
		set_entries(iova, OTHER_DATA, nr, stride);
		remap[i] = rpcit(iova, nr * PAGE);
		clear_entries(iova, nr);
		unmap[i] = rpcit(iova, nr * PAGE);
	}
	tell("map-", way, map, REPETITIONS, nr);
	tell("remap-", way, remap, REPETITIONS, nr);
	tell("same-", way, same, REPETITIONS, nr);
	tell("unmap-", way, unmap, REPETITIONS, nr);
}

static void bench_whole(u64 iova, const char *way, u64 mapped)
{
	u64 ticks[REPETITIONS], i;

	set_entries(iova, DATA, mapped, 1);
	rpcit(pba, pal - pba + 1);
	for (i = 0; i < REPETITIONS; i++)
		ticks[i] = rpcit(pba, pal - pba + 1);
	tell("whole-", way, ticks, REPETITIONS, mapped ? mapped : 1);
}

void guest_main(void)
{
	u64 iova;

	open_console();
	new_table(0x4000, TABLE_INVALID);
	enable_function();
	/* A GiB, as zpci_bench has it at first */
	if (pal - pba >= 1UL << 30)
		pal = pba + (1UL << 30) - 1;
	register_table();
	iova = (pba | 0xfffff) + 1;

	bench_whole(iova, "1G-0-0", 0);
	bench_whole(iova, "1G-1-0", 1);
	/* A segment in which something remains */
	set_entries(iova + MANY * PAGE, DATA, 1, 1);
	rpcit(iova + MANY * PAGE, PAGE);
	bench_pages(iova, "1", 1, 1);
	bench_pages(iova, "16", 16, 1);
	bench_pages(iova, "256-contiguous", MANY, 1);
	bench_pages(iova, "256-scattered", MANY, 2);
	clear_entries(iova + MANY * PAGE, 1);
	rpcit(pba, pal - pba + 1);
	bench_whole(iova, "1G-16384-0", 64 * MANY);
	print("# bench end\n");
	end(0);
}

asm("	.section .head,\"ax\"\n"
    "	.globl	_start\n"
    "_start:\n"
    "	lghi	%r0,0\n"
    "	lghi	%r1,1\n"
    "	sigp	%r1,%r0,0x12\n"	/* z/Architecture mode, if it is not yet */
    "	sam64\n"
    "	larl	%r15,stack_top-160\n"
    "	brasl	%r14,guest_main\n"
    "	.bss\n"
    "	.balign	16\n"
    "	.skip	0x4000\n"
    "stack_top:\n"
    "	.skip	8\n"
    "	.text\n");
