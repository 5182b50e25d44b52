// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TCG plugin: print how many instructions the machine has executed
 *
 * The instruction MARK, executed at any level, writes a line with the number of
 * instructions that all CPUs have executed so far: those of the host, of its guests,
 * of kernels and programs.
 *
 *	-plugin count.so,out=FILE
 *
 * Elapsed time does not count: a CPU that waits executes nothing, and instructions of
 * a loop with SPIN, which avoids a wait, are left out. The clock of -icount is no
 * measure, because it advances while CPUs wait.
 */
#include <glib.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <qemu-plugin.h>

#include "mark.h"

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

static struct qemu_plugin_scoreboard *board;
static qemu_plugin_u64 insns;
static FILE *out;

static void marked(unsigned int vcpu, void *data)
{
	fprintf(out, "%" PRIu64 "\n", qemu_plugin_u64_sum(insns));
	fflush(out);
}

static bool is(const struct qemu_plugin_insn *insn, const uint8_t *what)
{
	uint8_t bytes[6];

	return qemu_plugin_insn_data(insn, bytes, sizeof(bytes)) ==
			sizeof(bytes) &&
	       !memcmp(bytes, what, sizeof(bytes));
}

/* Instruction by instruction: an exception leaves a block in its middle */
static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	static const uint8_t mark[] = { MARK }, spin[] = { SPIN };
	size_t n = qemu_plugin_tb_n_insns(tb), i;
	struct qemu_plugin_insn *insn;

	for (i = 0; i < n; i++)
		if (is(qemu_plugin_tb_get_insn(tb, i), spin))
			return;
	for (i = 0; i < n; i++) {
		insn = qemu_plugin_tb_get_insn(tb, i);
		qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(insn,
				QEMU_PLUGIN_INLINE_ADD_U64, insns, 1);
		if (is(insn, mark))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, marked,
					QEMU_PLUGIN_CB_NO_REGS, NULL);
	}
}

static void finished(qemu_plugin_id_t id, void *data)
{
	fclose(out);
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id,
					   const qemu_info_t *info, int argc,
					   char **argv)
{
	if (argc != 1 || strncmp(argv[0], "out=", 4)) {
		fprintf(stderr, "count.so,out=FILE\n");
		return -1;
	}
	out = fopen(argv[0] + 4, "w");
	if (!out) {
		fprintf(stderr, "can't write %s\n", argv[0] + 4);
		return -1;
	}
	board = qemu_plugin_scoreboard_new(sizeof(uint64_t));
	insns = qemu_plugin_scoreboard_u64(board);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, finished, NULL);
	return 0;
}
