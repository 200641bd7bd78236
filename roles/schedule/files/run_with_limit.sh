#!/bin/sh
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs a command for at most some seconds: run_with_limit SECONDS COMMAND ARGUMENT...
# Ends as the command ends. After SECONDS, writes the names of the programs that still run, the oldest first, kills them and ends with 124.
# The names are those of the kernel, without arguments, since arguments may hold secrets.
# Nothing here has braces after a dollar: systemd-run replaces that by variables of its own (systemd.service(5), "Command lines").
seconds=$1
shift
exec 3<&0
setsid "$@" <&3 3<&- &
session=$!
exec 3<&-

# Of a file such as /proc/1/stat, PID (NAME) STATE PARENT GROUP SESSION ..., it leaves PID STATE SESSION NAME.
fields='s/^\([0-9]*\) (\(.*\)) \([A-Za-z]\) [0-9]* [0-9]* \([0-9]*\) .*/\1 \3 \4 \2/p'

is_running() {
    state=$(sed -n "$fields" "/proc/$session/stat" 2> /dev/null | cut -d ' ' -f 2)
    [ -n "$state" ] && [ "$state" != Z ]
}

# Writes the PID and the name of each program in the session.
list_session() {
    sed -n "$fields" /proc/[0-9]*/stat 2> /dev/null | while read -r pid state its_session name; do
        if [ "$state" != Z ] && [ "$its_session" = "$session" ]; then
            echo "$pid $name"
        fi
    done
}

passed=0 # tenths of a second
while is_running; do
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
