# SPDX-License-Identifier: GPL-2.0
# Sourced by what runs in the emulated host: a stock guest in a real QEMU, its
# console in a file, its agent (see init) and QEMU's monitor at two pipes.
# shellcheck shell=dash disable=SC3045 # busybox has read -t

STOCK=/lab/bin/stock
VM=/tmp/vm
# What QEMU may have of the host's memory is for this to say.
CGROUP=/sys/fs/cgroup/vm
QEMU_PID=
# Processes that the guest talks to
PEERS=
# The guest's memory, MiB
MEMORY=512
# What is said is for the console, also in a function whose output goes elsewhere;
# and a failure is the end, also in a subshell.
exec 3>&1
trap 'exit 1' USR1

# say TEXT: progress, with the time since the boot of the host
say()
{
	echo "# [$(cut -d. -f1 /proc/uptime) s] $*" >&3
}

# Say what the lines of a report say: what was done, a number, what was moved.
step() { echo "# step $*" >&3; }
counter() { echo "# counter $1 = $2" >&3; }
data() { echo "# data $*" >&3; }

# Seconds since the boot of the host, and since such a time
now() { cut -d' ' -f1 /proc/uptime; }
since() { echo "$(now) $1" | awk '{printf "%.2f\n", $1 - $2}'; }

# fail TEXT: the reason, the ends of the logs, and no guest any more
fail()
{
	exec >&3
	echo "# failed: $*"
	[ ! -e "$VM/console" ] || tail -n 15 "$VM/console" | sed 's/^/# guest: /'
	[ ! -e "$VM/qemu.log" ] || tail -n 15 "$VM/qemu.log" | sed 's/^/# QEMU: /'
	if [ -n "$QEMU_PID" ]; then
		[ -e "/proc/$QEMU_PID/exe" ] || echo "# QEMU has ended"
		kill -9 "$QEMU_PID" 2>/dev/null
		wait "$QEMU_PID"
		echo "# QEMU's exit status: $?"
	fi
	# shellcheck disable=SC2086 # a list of process IDs
	[ -z "$PEERS" ] || kill $PEERS
	kill -USR1 $$
	exit 1
}

# answer FD SECONDS PATTERN: lines from FD up to the one that matches; that one is
# in $REPLY, those before it are printed. Fails when QEMU has ended, too, and after
# so many seconds, more on a slow machine.
answer()
{
	# A read with a time limit of its own would drop what it has of a line when
	# the time is over. So it waits for ever, and this ends it.
	answer_limit=$(($2 * ${LAB_SCALE:-100} / 100))
	answer_end="@@@ $1 $2 $(cat /proc/sys/kernel/random/uuid)"
	{
		answer_left=$answer_limit
		while [ "$answer_left" -gt 0 ] && [ -e "/proc/$QEMU_PID/exe" ]; do
			sleep 1
			answer_left=$((answer_left - 1))
		done
		echo "$answer_end"
	} >&"$1" &
	answer_watch=$!
	answer_status=1
	while IFS= read -r REPLY <&"$1"; do
		# shellcheck disable=SC2254 # a pattern
		case $REPLY in
		"$answer_end") break ;;
		"@@@ "*) ;;
		$3)
			answer_status=0
			break
			;;
		*) printf '%s\n' "$REPLY" ;;
		esac
	done
	kill $answer_watch 2>/dev/null
	wait $answer_watch 2>/dev/null
	return $answer_status
}

# guest SECONDS COMMAND: run it in the guest, print its output; its exit status
guest()
{
	printf '%s\n' "$2" >&4
	answer 5 "$1" '@@ *' || fail "no answer within $answer_limit s from the guest: $2"
	return "${REPLY#@@ }"
}

# guest_does SECONDS COMMAND: the same, and it must succeed
guest_does()
{
	guest "$1" "$2" >"$VM/output" 2>&1 || {
		sed 's/^/# guest: /' "$VM/output"
		fail "failed in the guest: $2"
	}
}

# The same, and print what it said.
guest_says()
{
	guest_does "$@"
	cat "$VM/output"
}

# qmp_try SECONDS COMMAND [ARGUMENTS]: QEMU's answer is in $REPLY, events in
# $VM/events; its status is whether QEMU did it
qmp_try()
{
	printf '{"execute":"%s"%s}\n' "$2" "${3:+,\"arguments\":$3}" >&6
	answer 7 "$1" '{"[re]*' >>"$VM/events" ||
		fail "no answer within $answer_limit s from QEMU: $2"
	case $REPLY in
	'{"error"'*) return 1 ;;
	esac
}

# qmp SECONDS COMMAND [ARGUMENTS]: the same, and it must succeed
qmp()
{
	qmp_try "$@" || fail "QEMU refused $2: $REPLY"
}

# hmp COMMAND: what QEMU's monitor prints
hmp()
{
	qmp 60 human-monitor-command "{\"command-line\":\"$1\"}"
	printf '%s' "$REPLY" | sed 's/^{"return": "//; s/"}[[:space:]]*$//; s/\\r\\n/\n/g'
}

# event SECONDS NAME: wait for an event that comes from now on, or has come since
# the last qmp
event()
{
	if ! grep -q "\"$2\"" "$VM/events"; then
		answer 7 "$1" "*\"$2\"*" >>"$VM/events" ||
			fail "QEMU did not report $2 within $answer_limit s"
	fi
	: >"$VM/events"
}

# vm_start KERNEL PARAMETERS QEMU-ARGUMENTS...: KERNEL is a directory of $STOCK
vm_start()
{
	kernel=$STOCK/$1
	parameters=$2
	shift 2
	rm -rf "$VM"
	mkdir -p "$VM"
	mkfifo "$VM/agent.in" "$VM/agent.out" "$VM/qmp.in" "$VM/qmp.out"
	: >"$VM/events"
	dd if=/dev/zero of="$VM/disk" bs=1M count=16 2>/dev/null
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control
	mkdir -p "$CGROUP"
	# shellcheck disable=SC2016 # the inner shell's own variables
	sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$CGROUP" \
		"$STOCK/qemu-system-s390x" -nodefaults -display none \
		-machine s390-ccw-virtio -accel "${ACCEL:-kvm}" -L "$STOCK" -smp 2 -m $MEMORY \
		-chardev "file,id=console,path=$VM/console" \
		-device virtio-serial-ccw \
		-device virtconsole,chardev=console \
		-chardev "pipe,id=agent,path=$VM/agent" \
		-device virtserialport,chardev=agent,name=agent \
		-chardev "pipe,id=qmp,path=$VM/qmp" \
		-mon chardev=qmp,mode=control \
		-drive "file=$VM/disk,if=none,id=disk,format=raw" \
		-device virtio-blk-ccw,drive=disk \
		-kernel "$kernel/vmlinuz" -initrd "$kernel/initrd" \
		-append "console=hvc0 panic=-1 LAB_SCALE=${LAB_SCALE:-100} $parameters" \
		"$@" >"$VM/qemu.log" 2>&1 &
	QEMU_PID=$!
	exec 4<>"$VM/agent.in" 5<>"$VM/agent.out" 6<>"$VM/qmp.in" 7<>"$VM/qmp.out"
	answer 7 120 '*"QMP"*' >/dev/null || fail "QEMU did not start"
	qmp 60 qmp_capabilities
	vm_up
}

# Wait until the guest answers, after a start or a reboot.
vm_up()
{
	answer 5 120 '@@ up *' >/dev/null || fail "the guest did not come up"
	GUEST=${REPLY#@@ up }
	say "guest $GUEST is up"
}

# vm_gone: QEMU has ended, by itself or by a signal
vm_gone()
{
	wait "$QEMU_PID"
	QEMU_STATUS=$?
	QEMU_PID=
	exec 4>&- 5>&- 6>&- 7>&-
}

vm_poweroff()
{
	printf 'poweroff -f\n' >&4
	vm_gone
	[ "$QEMU_STATUS" = 0 ] || fail "QEMU ended with status $QEMU_STATUS"
}
