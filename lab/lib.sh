# SPDX-License-Identifier: GPL-2.0
# Sourced by every shell script of the lab: where things are, messages with
# elapsed time, steps with a log, locks, content keys.
# shellcheck shell=bash

set -euo pipefail
export LC_ALL=C TZ=UTC
# Scripts of the kernel that run in the base source must not add files to it.
export PYTHONDONTWRITEBYTECODE=1

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
	{ echo "error: $CACHE cannot be written: make it writable, or name another" \
		"directory with ZPCI_LAB_CACHE=DIR" >&2; exit 1; }

# The clock starts with the first script and is handed down to the others.
export LAB_START=${LAB_START:-$(date +%s)}

# A terminal, whose last line can be written anew?
terminal()
{
	[ -t 2 ] && [ "${TERM:-dumb}" != dumb ]
}

clear_progress()
{
	! terminal || printf '\r\e[K' >&2
}

# minutes SECONDS: as m:ss
minutes()
{
	printf '%d:%02d' $(($1 / 60)) $(($1 % 60))
}

# Since the start, in brackets
elapsed()
{
	printf '[%5s]' "$(minutes $(($(date +%s) - LAB_START)))"
}

# Messages go to stderr: stdout is for a script's answer.
SAID_AT=$SECONDS
say()
{
	clear_progress
	echo "$(elapsed) $*" >&2
	SAID_AT=$SECONDS
}

progress_due()
{
	[ "${LAB_QUIET:-}" != 1 ] &&
		{ terminal || [ $((SECONDS - SAID_AT)) -ge 30 ]; }
}

# progress TEXT: what goes on right now; call it often, and not in a subshell. On a
# terminal it is one line, which the next message replaces; in a log it is a line
# every 30 s at most. LAB_TITLE says what it is part of, LAB_QUIET=1 turns it off.
progress()
{
	local text="${LAB_TITLE:+$LAB_TITLE: }$*"
	progress_due || return 0
	if terminal; then
		# Only a line that does not wrap can be cleared.
		printf '\r\e[K\e[?7l%s %s\e[?7h' "$(elapsed)" "$text" >&2
	else
		say "$text"
	fi
}

die()
{
	clear_progress
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# scaled SECONDS: a time limit, for how fast this machine is right now. What was
# measured holds for a minute.
scaled()
{
	local file=$CACHE/tmp/speed new=$CACHE/tmp/speed.$BASHPID
	if [ -z "$(find "$file" -mmin -1 2>/dev/null)" ]; then
		"$LAB/speed" >"$new"
		mv -f "$new" "$file"
	fi
	echo $(($1 * $(cat "$file") / 100))
}

# built LOG: how far a build is. Ninja counts by itself; of make's lines each is a
# file, and $FILES says how many are expected, if that is known.
built()
{
	local last count
	last=$(tail -n 20 "$1" | tr -d '\r' | grep -vE '^(make|$)' | tail -n 1 | cut -c1-100 || true)
	count=$(tail -n 20 "$1" | grep -oE '^\[[0-9]+/[0-9]+\]' | tail -n 1 || true)
	if [ -n "$count" ]; then
		count=${count//[][]/}
		echo "${count%/*} of ${count#*/} files"
		return
	fi
	count=$(grep -cE "^  [A-Z][A-Z0-9_]* |^(${CROSS})?gcc " "$1" || true)
	if [ "$count" -eq 0 ]; then
		echo "$last"
	elif [ "${FILES:-0}" -ge "$count" ]; then
		echo "$count of about $FILES files"
	else
		echo "$count files"
	fi
}

# tick NAME LOG: show how far a step is.
tick()
{
	local pause='' start=$SECONDS
	# The sleep must not outlive this: it would hold locks and pipes.
	trap 'kill $pause 2>/dev/null; exit' TERM
	# Nor may this outlive a script that is killed.
	while kill -0 $$ 2>/dev/null; do
		sleep 1 &
		pause=$!
		wait "$pause"
		progress_due || continue
		progress "$1, $(minutes $((SECONDS - start))):" \
			"$(built "$2" 2>/dev/null)"
	done
}

# step NAME LIMIT COMMAND...: run a command with a log and a time limit; a
# failure names the log and shows its end.
step()
{
	local name=$1 limit log=$CACHE/log/$1.log code=0 start took pid ticker
	limit=$(scaled "$2")
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
	kill "$ticker" 2>/dev/null || true
	wait "$ticker" 2>/dev/null || true
	took=$(($(date +%s) - start))
	# One log for each run at work; the well-known name is the newest's.
	mv -f "$log.$$" "$log"
	if [ $code -ne 0 ]; then
		clear_progress
		# With compilers side by side the error is seldom at the end.
		grep -m 8 -E '(error|Error|ERROR|FAILED):' "$log" >&2 || true
		tail -n 12 "$log" >&2
		[ $took -lt "$limit" ] || die "$name hit its limit of $limit s; log:" \
			"$log; run it again: what is built stays"
		die "$name failed; log: $log"
	fi
	say "$name: done in $took s"
}

# locked NAME COMMAND...: run COMMAND under a lock of this machine. A second caller
# waits for the first, and each step of the first has a time limit.
locked()
{
	local name=$1 fd start=$SECONDS
	shift
	(
		exec {fd}>"$CACHE/lock/$name"
		if ! flock -n "$fd"; then
			say "waiting for another run: $name"
			until flock -w 1 "$fd"; do
				[ $((SECONDS - start)) -lt 7200 ] || die \
					"another run has held $CACHE/lock/$name for two" \
					"hours: end it, and run this again"
				progress "waiting for another run: $name," \
					"$(minutes $((SECONDS - start)))"
			done
			# It was make clean, maybe, and has removed directories, or the
			# file, which others now open anew.
			mkdir -p "$CACHE"/{log,lock,out,tmp}
			if ! [ "/dev/fd/$fd" -ef "$CACHE/lock/$name" ]; then
				locked "$name" "$@"
				exit
			fi
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

# discard DIR...: remove directories. What has its name is taken for whole, also
# after this was killed halfway.
discard()
{
	local dir gone=$CACHE/tmp/gone.$BASHPID
	rm -rf "$CACHE"/tmp/gone.*
	for dir; do
		[ ! -e "$dir" ] || mv -T "$dir" "$gone"
		rm -rf "$gone"
	done
}

# renew DIR: make it an empty directory for results. Only what this made before, or
# what is in the cache, may have files.
renew()
{
	local dir
	dir=$(realpath -m "$1")
	case $dir in
	"$(realpath "$CACHE")"/*) ;;
	*)
		[ ! -e "$dir" ] || [ -e "$dir/.lab" ] || rmdir "$dir" 2>/dev/null ||
			die "$dir has files that the lab did not make: name an" \
				"empty or a new directory"
		;;
	esac
	rm -rf "$dir"
	mkdir -p "$dir"
	touch "$dir/.lab"
}

# Keep the newest few of a kind of result; what a run just used is newest.
keep_newest()
{
	local kind=$1 count=$2 old
	# shellcheck disable=SC2012 # the names are ours: a kind and a hash
	ls -1dt "$CACHE/out/$kind"-* 2>/dev/null | tail -n +$((count + 1)) |
		while IFS= read -r old; do
			discard "$old"
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
