# SPDX-License-Identifier: GPL-2.0
# Sourced by the main job: the host wants memory back from the guest during I/O.
# What is pinned for DMA has to stay; the rest can go to a swap device.
# shellcheck shell=dash

# What the guest fills of its memory, in copies of the data that it compares with
# in the end, and what the host wants back, MiB
FILL=6
WANT=48

swap_on()
{
	[ "$(wc -l </proc/swaps)" = 1 ] || return 0
	{ mkswap /dev/ram0 >/dev/null && swapon /dev/ram0; } || fail "no swap device"
	awk -v need=$((WANT * 1024)) 'NR > 1 && $3 > need {found = 1}
		END {exit !found}' /proc/swaps ||
		fail "the swap device is too small: see ramdisk_size= of the host"
}

# QEMU's memory that is there, MiB
resident()
{
	awk '/^VmRSS:/ {print int($2 / 1024)}' "/proc/$QEMU_PID/status"
}

# pressure all|mapped: which memory of the guest is pinned
pressure()
{
	swap_on
	guest_does 120 "fill $FILL"
	guest_does 120 "load_start disk_load"
	pins=$(held)
	has=$(resident)
	# To look in vain at everything that is pinned, again and again, takes long.
	limit=$((60 * ${LAB_SCALE:-100} / 100))
	[ "$1" != all ] || limit=5
	start=$(now)
	timeout $limit sh -c "echo ${WANT}M >$CGROUP/memory.reclaim" 2>/dev/null
	pressure_time=$(since "$start")
	left=$(resident)
	stayed=$(held)
	writes=$(guest_says 60 "cat /tmp/writes")
	guest_does 60 "wait_for 50 more_than /tmp/writes $writes"
	guest_does 120 load_stop
	guest_does 60 load_check
	guest_does 180 fill_check
	counter "MiB that QEMU has in memory" "$has"
	counter "  of these given back under pressure" $((has - left))
	counter "seconds of that pressure" "$pressure_time"
	counter "frames pinned before it" "$pins"
	counter "frames pinned after it" "$stayed"
	[ "$stayed" -gt 0 ] || fail "nothing stayed pinned while a disk was in use"
	if [ "$1" = all ]; then
		# What QEMU has for itself can go.
		[ $((has - left)) -lt $((WANT / 2)) ] ||
			fail "the host got memory that should be pinned"
		step "the host wanted $WANT MiB of the guest's memory during I/O," \
			"and got next to nothing: all of it is pinned"
	else
		[ $((has - left)) -gt $((WANT * 3 / 4)) ] ||
			fail "the host did not get back the guest's memory"
		step "the host wanted $WANT MiB of the guest's memory during I/O," \
			"and got them; what was read and written was right"
	fi
}
