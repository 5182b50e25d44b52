# SPDX-License-Identifier: GPL-2.0
# Sourced by every shell script of the lab: where things are, messages with
# elapsed time, steps with a log, locks, content keys.
# shellcheck shell=bash

set -euo pipefail
export LC_ALL=C TZ=UTC

LAB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPO=$(dirname "$LAB")
CACHE=${ZPCI_LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/zpci-lab}
case $CACHE in
/*) ;;
*) CACHE=$PWD/$CACHE ;;
esac
export ZPCI_LAB_CACHE=$CACHE
JOBS=${JOBS:-$(nproc)}
# shellcheck disable=SC2034 # for the scripts that read this file
CROSS=s390x-linux-gnu-
mkdir -p "$CACHE"/{log,lock,out,tmp} ||
	{ echo "error: $CACHE cannot be written (ZPCI_LAB_CACHE)" >&2; exit 1; }

# The clock starts with the first script and is handed down to the others.
export LAB_START=${LAB_START:-$(date +%s)}

# Progress goes to stderr: stdout is for a script's answer.
say()
{
	local t=$(($(date +%s) - LAB_START))
	printf '[%2d:%02d] %s\n' $((t / 60)) $((t % 60)) "$*" >&2
}

die()
{
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# Every minute a sign of life with the log's last line.
tick()
{
	local last pause=''
	# The sleep must not outlive this: it would hold locks and pipes.
	trap 'kill $pause 2>/dev/null; exit' TERM
	while :; do
		sleep 60 &
		pause=$!
		wait "$pause"
		last=$(tail -n 1 "$2" 2>/dev/null | tr -d '\r' | cut -c1-60)
		say "  $1: $last"
	done
}

# step NAME LIMIT COMMAND...: run a command with a log and a time limit; a
# failure names the log and shows its end.
step()
{
	local name=$1 limit=$2 log=$CACHE/log/$1.log code=0 start pid ticker
	shift 2
	start=$(date +%s)
	say "$name ..."
	# In the background, so that an interrupt from the terminal, which
	# timeout shields its command from, is handed on at once.
	timeout -k 10 "$limit" "$@" >"$log.$$" 2>&1 </dev/null &
	pid=$!
	tick "$name" "$log.$$" >/dev/null &
	ticker=$!
	trap 'kill $pid $ticker 2>/dev/null; exit 130' INT TERM HUP
	wait "$pid" || code=$?
	trap - INT TERM HUP
	kill "$ticker" 2>/dev/null
	# One log for each run at work; the well-known name is the newest's.
	mv -f "$log.$$" "$log"
	if [ $code -eq 124 ] || [ $code -eq 137 ]; then
		echo "... ended after its limit of $limit s" >>"$log"
	fi
	if [ $code -ne 0 ]; then
		# With compilers side by side the error is seldom at the end.
		grep -m 8 -E '(error|Error|ERROR|FAILED):' "$log" >&2 || true
		tail -n 12 "$log" >&2
		die "$name failed; log: $log"
	fi
	say "$name: done in $(($(date +%s) - start)) s"
}

# locked NAME COMMAND...: one at a time on this machine, whoever comes second
# waits for the first (whose steps all have limits).
locked()
{
	local name=$1 fd
	shift
	(
		exec {fd}>"$CACHE/lock/$name"
		if ! flock -n "$fd"; then
			say "waiting for another run: $name"
			flock -w 7200 "$fd" ||
				die "another run still holds $CACHE/lock/$name"
		fi
		"$@"
	)
}

# The value of KEY in lab/base/TARGET.
base()
{
	sed -n "s/^$2 = //p" "$LAB/base/$1"
}

# Hash of the contents of files and directories, their names included.
content_key()
{
	(
		cd "$REPO"
		find "$@" -type f -print0 2>/dev/null | sort -z |
			xargs -0r sha256sum
	) | sha256sum | cut -c1-16
}

# Keep the newest few of a kind of result; what a run just used is newest.
keep_newest()
{
	local kind=$1 count=$2 old
	# shellcheck disable=SC2012 # the names are ours: a kind and a hash
	ls -1dt "$CACHE/out/$kind"-* 2>/dev/null | tail -n +$((count + 1)) |
		while IFS= read -r old; do
			rm -rf "$old"
		done
}

# publish KIND-KEY DIR: DIR becomes the finished result of that key.
publish()
{
	if [ -d "$CACHE/out/$1" ]; then
		rm -rf "$2"
	else
		mv -T "$2" "$CACHE/out/$1"
	fi
}
