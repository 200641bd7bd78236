#!/bin/sh
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs a command for at most some seconds: run_with_limit SECONDS COMMAND ARGUMENT...
# Ends as the command ends. After SECONDS, writes the names of the programs that still run, the oldest first, kills them and ends with 124.
# The names are those of the kernel, without arguments, since arguments may hold secrets.
seconds=$1
shift
exec 3<&0
setsid "$@" <&3 3<&- &
session=$!
exec 3<&-

# Reads a file such as /proc/1/stat: PID (NAME) STATE PARENT GROUP SESSION ...
read_stat() {
    { read -r line < "$1"; } 2> /dev/null || return 1
    name=${line#*\(}
    name=${name%)*}
    # shellcheck disable=SC2086
    set -- ${line##*\) }
    state=$1 its_session=$4
}

# Writes the PID and the name of each program in the session.
list_session() {
    for stat in /proc/[0-9]*/stat; do
        if read_stat "$stat" && [ "$state" != Z ] && [ "$its_session" = "$session" ]; then
            echo "${line%% *} $name"
        fi
    done
}

passed=0 # tenths of a second
while read_stat "/proc/$session/stat" && [ "$state" != Z ]; do
    if [ "$passed" -ge "$((seconds * 10))" ]; then
        printf 'still running after %s s: ' "$seconds"
        list_session | sort -n | sed 's/^[0-9]* //' | paste -s -d ,
        kill -s KILL -- "-$session"
        exit 124
    fi
    sleep 0.1
    passed=$((passed + 1))
done
wait "$session"
