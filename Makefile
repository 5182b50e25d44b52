# SPDX-License-Identifier: GPL-2.0
# The front door: each verb is a script in lab/.

T ?= linux

help:
	@echo 'make run       set up this machine, build, and show the main job'
	@echo 'make check     lint, builds and tests      (PHASES=, alone if given)'
	@echo 'make check-long'
	@echo '               the tests on more machines, for longer     (PHASES=)'
	@echo 'make fresh     the two commands of the README on minimal Debian 12 and 13'
	@echo 'make lint      the static checks alone'
	@echo 'make bench     what an RPCIT costs, in instructions'
	@echo 'make fuzz      fuzz the shadow until something is found    (SEED=)'
	@echo 'make mutants   break the kernel in one way after the other: the tests must fail'
	@echo 'make soak      random guests, faults and teardown  (MINUTES=, SEED=,'
	@echo '               KERNEL=lab|debug|kcsan)'
	@echo 'make soak-boots'
	@echo '               stock guests boot, one after the other  (MINUTES=)'
	@echo 'make shell     a shell in the emulated host, function on vfio-pci (HOW=)'
	@echo 'make tree      the patched source as a git tree     (T=linux|qemu, FORCE=1)'
	@echo 'make refresh   edits and commits in that tree come back into'
	@echo '               the repository                       (T=, TREE=DIR)'
	@echo 'make series    mail-ready patches, a directory a series  (T=, OUT=DIR)'
	@echo 'make clean     remove builds and results, keep downloads'
	@echo 'make distclean remove the whole cache                (FORCE=1)'
	@echo
	@echo 'ZPCI_LAB_CACHE=DIR  the cache, default ~/.cache/zpci-lab'
	@echo 'DEBIAN_MIRROR=URI   a Debian archive, default the one apt uses'
	@echo 'LINUX_VERSION=V, QEMU_VERSION=V  another version of the base source'
	@echo 'LINUX_SOURCE=PATH, QEMU_SOURCE=PATH  a directory or tarball with it'
	@echo 'JOBS=N              compilers at once, default one for each CPU'

run fresh lint mutants shell clean distclean:
	@lab/$@

check:
	@lab/check $(PHASES)

check-long:
	@lab/check long $(PHASES)

bench:
	@lab/bench/run

fuzz:
	@lab/native fuzz

soak:
	@lab/soak "$(MINUTES)" "$(SEED)" "$(KERNEL)"

soak-boots:
	@lab/soak "$(MINUTES)" boots

tree series refresh:
	@lab/trees $@ $(T)

.PHONY: help run check check-long fresh lint bench fuzz mutants soak soak-boots shell \
	clean distclean \
	tree series refresh
