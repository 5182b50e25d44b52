# SPDX-License-Identifier: GPL-2.0
# Sourced by the jobs of the emulated host: both functions for a stock guest, the
# work that it does in each, and what is counted meanwhile.
# shellcheck shell=dash
# shellcheck source=lab/stock/vm.sh
. /lab/bin/stock/vm.sh

HOST=10.7.0.1
# What goes over the disk, and over the network, whose packets are slower, each way
DISK_MIB=8
NET_MIB=2

# Print the number of frames that are pinned in the host for DMA, by any driver
pinned()
{
	awk '$1 == "nr_foll_pin_acquired" {a = $2}
		$1 == "nr_foll_pin_released" {r = $2}
		END {print a - r}' /proc/vmstat
}

# Those of them that were not before
held()
{
	echo $(($(pinned) - before))
}

# The sum over all VMs of one of KVM's statistics
kvm_stat()
{
	cat /sys/kernel/debug/kvm/*/"$1" 2>/dev/null | awk '{s += $1} END {print s + 0}'
}

# How often vCPUs of any VM left SIE, whatever the reason
kvm_exits()
{
	find /sys/kernel/debug/kvm/*/ -maxdepth 1 -name 'exit_*' \
		! -name exit_userspace -exec cat {} + 2>/dev/null |
		awk '{s += $1} END {print s + 0}'
}

# What "info zpci" says of one number of both functions, added
zpci_stat()
{
	hmp "info zpci" | grep -oE "(^|[ ,])$1=[0-9]+" | cut -d= -f2 |
		awk '{s += $1} END {print s + 0}'
}

# both TEXT: "info zpci" says that of each of the two functions
both()
{
	info=$(hmp "info zpci")
	[ "$(echo "$info" | grep -c "$1")" = 2 ] ||
		fail "not both functions have \"$1\": $info"
}

# devices IOAT: QEMU's arguments for both functions, in $DEVICES; more for a zpci or
# vfio-pci device may be in $ZPCI and $VFIO
devices()
{
	# shellcheck disable=SC2034 # for the jobs
	DEVICES="-object iommufd,id=iommufd0
		-device zpci,uid=1,fid=1,target=nvme,id=znvme,ioat=$1$ZPCI
		-device vfio-pci,host=$ZPCI_BDF,id=nvme$VFIO
		-device zpci,uid=2,fid=2,target=net,id=znet,ioat=$1$ZPCI
		-device vfio-pci,host=$NET_BDF,id=net$VFIO"
}
ZPCI=
VFIO=

# plug_zpci NAME NUMBER IOAT [MEMORY]: the zPCI device of a function that comes next
plug_zpci()
{
	qmp 60 device_add "{\"driver\":\"zpci\",\"id\":\"z$1\",\"uid\":$2,\"fid\":$2,\"target\":\"$1\",\"ioat\":\"$3\",\"ioat-memory\":\"${4:-auto}\"}"
}

# plug_vfio NAME BDF: that function, with iommufd if $VFIO says so; the status is
# whether QEMU did it
plug_vfio()
{
	qmp_try 60 device_add "{\"driver\":\"vfio-pci\",\"id\":\"$1\",\"host\":\"$2\"${VFIO:+,\"iommufd\":\"iommufd0\"}}"
}

# plug NAME NUMBER BDF IOAT [MEMORY]: both
plug()
{
	plug_zpci "$1" "$2" "$4" "${5:-auto}"
	plug_vfio "$1" "$3" || fail "QEMU refused to plug $1: $REPLY"
}

# serve PORT COMMAND...: its output for each connection, its input from there
serve()
{
	port=$1
	shift
	# A guest whose function is unplugged breaks off.
	nc -ll -p "$port" -e "$@" 2>/dev/null &
	PEERS="$PEERS $!"
}

# What the guest talks to by way of its network function
peer_up()
{
	ip addr add $HOST/24 dev "$NET_PEER" 2>/dev/null
	ip link set "$NET_PEER" up || fail "no peer in the host"
	dd if=/dev/urandom of=/tmp/peer bs=1M count=$NET_MIB 2>/dev/null
	serve 5001 sha256sum
	serve 5002 cat /tmp/peer
	serve 5005 cat
	before=$(pinned)
}

# The guest's network function comes up, and both sides get what the other sent.
network()
{
	guest_does 60 net_up
	guest_does 180 "net_copy $NET_MIB"
	grep -q "^got $(sha256sum </tmp/peer)" "$VM/output" ||
		fail "what came over the network is not what the peer sent"
}

# What is on the disk is what the guest wrote there in the beginning.
disk()
{
	guest_does 60 disk_check
	grep -q "^$DISK_SUM " "$VM/output" ||
		fail "what is on the disk is not what was written"
}

# The same work in each mode
work()
{
	guest_does 60 disk_format
	step "the guest partitioned and formatted the NVMe disk"
	guest_does 180 "disk_copy $DISK_MIB"
	DISK_SUM=$(cut -d' ' -f1 "$VM/output" | tail -n 1)
	[ ${#DISK_SUM} = 64 ] || fail "no checksum of what is on the disk"
	step "the guest wrote $DISK_MIB MiB to it, read them back and compared"
	network
	step "the guest sent $NET_MIB MiB to the peer in the host, and got as many"
	data "NVMe: $DISK_MIB MiB written and read back, sha256 $DISK_SUM"
	data "network: $NET_MIB MiB each way, sha256 of both compared"
}

# A while after the last guest, nothing is pinned that was not before; $left is
# what still is.
given_back()
{
	for _ in $(seq $((${LAB_SCALE:-100} / 10))); do
		left=$(held)
		[ "$left" != 0 ] || return 0
		sleep 1
	done
	return 1
}

# Stop all peers and check that nothing stays pinned.
all_given_back()
{
	# shellcheck disable=SC2086 # a list of process IDs
	kill $PEERS 2>/dev/null
	given_back
	counter "frames still pinned in the end" "$left"
	[ "$left" = 0 ] || fail "$left frames are still pinned"
}
