// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TCG plugin: how many instructions were executed, by the address of their block
 *
 * At the end it writes a line for each translated block that was executed, its
 * address and the number of instructions that were executed in it:
 *
 *	-plugin profile.so,out=FILE
 *
 * lab/bench/profile makes functions of addresses.
 */
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <qemu-plugin.h>

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

/**
 * struct block - a translated block
 * @address: virtual address of its first instruction
 * @insns: instructions that were executed in it
 */
struct block {
	uint64_t address;
	struct qemu_plugin_scoreboard *insns;
};

static GHashTable *blocks;
static GMutex lock;
static char *out;

/* Blocks of the same address and length are one, however often translated */
static struct block *find_block(uint64_t address, size_t insns)
{
	uint64_t key = address ^ (uint64_t)insns << 56;
	struct block *block;

	g_mutex_lock(&lock);
	block = g_hash_table_lookup(blocks, &key);
	if (!block) {
		block = g_new0(struct block, 1);
		block->address = address;
		block->insns = qemu_plugin_scoreboard_new(sizeof(uint64_t));
		g_hash_table_insert(blocks, g_memdup2(&key, sizeof(key)),
				    block);
	}
	g_mutex_unlock(&lock);
	return block;
}

/* Instruction by instruction: an exception leaves a block in its middle */
static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t n = qemu_plugin_tb_n_insns(tb), i;
	struct block *block = find_block(qemu_plugin_tb_vaddr(tb), n);
	qemu_plugin_u64 count = qemu_plugin_scoreboard_u64(block->insns);

	for (i = 0; i < n; i++)
		qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
			qemu_plugin_tb_get_insn(tb, i),
			QEMU_PLUGIN_INLINE_ADD_U64, count, 1);
}

static void finished(qemu_plugin_id_t id, void *data)
{
	FILE *file = fopen(out, "w");
	struct block *block;
	GHashTableIter iter;
	uint64_t insns;

	if (!file) {
		fprintf(stderr, "can't write %s\n", out);
		return;
	}
	g_hash_table_iter_init(&iter, blocks);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&block)) {
		insns = qemu_plugin_u64_sum(
				qemu_plugin_scoreboard_u64(block->insns));
		if (insns)
			fprintf(file, "%" PRIx64 " %" PRIu64 "\n",
				block->address, insns);
	}
	fclose(file);
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id,
					   const qemu_info_t *info, int argc,
					   char **argv)
{
	if (argc != 1 || strncmp(argv[0], "out=", 4)) {
		fprintf(stderr, "profile.so,out=FILE\n");
		return -1;
	}
	out = g_strdup(argv[0] + 4);
	blocks = g_hash_table_new(g_int64_hash, g_int64_equal);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, finished, NULL);
	return 0;
}
