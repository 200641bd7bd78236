# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A callback that writes down where a run of ansible-playbook is, and kills it at a point that a test has chosen.

A point is the beginning and the end of a task, each step within an action of the collection, and what an issuer does. Those within
a task are reached in a worker, a process of its own.
"""

from __future__ import annotations

import functools
import inspect
import os
import pathlib
import signal

from ansible.plugins.callback import CallbackBase

from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import TlsAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cache import CachedChain
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.local_ca import LocalCa

LOG = pathlib.Path(os.environ["POINTS_LOG"])
KILL_AT = int(os.environ.get("POINTS_KILL_AT", "0"))
SPARE_WORKERS = "POINTS_SPARE_WORKERS" in os.environ  # as when somebody kills the process that he has started
HALT = "POINTS_HALT" in os.environ  # instead, until a test has done something else and kills it
MAIN = os.getpid()


def reach(point):
    """Write down a point, and die there where that is wanted."""
    with LOG.open("a", encoding="utf-8") as stream:
        stream.write(f"{point}\n")
    if not KILL_AT or len(LOG.read_text(encoding="utf-8").splitlines()) != KILL_AT:
        return
    if HALT:
        os.kill(os.getpid(), signal.SIGSTOP)
    else:
        others = [] if SPARE_WORKERS else [process for process in below(MAIN) if process != os.getpid()]
        for process in [*others, MAIN, *([] if SPARE_WORKERS else [os.getpid()])]:
            os.kill(process, signal.SIGKILL)


def below(process):
    """Return all processes that a process has started, and those that these have."""
    parents = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = list(parents.get(process, []))
    for child in found:
        found += parents.get(child, [])
    return found


def watched(owner, name, before, after):
    """Have a method reach a point before it does its work, and one after."""
    work = getattr(owner, name)

    @functools.wraps(work)
    async def watching_coroutine(self, *arguments, **options):
        reach(before(*arguments))
        result = await work(self, *arguments, **options)
        reach(after(*arguments))
        return result

    @functools.wraps(work)
    def watching(self, *arguments, **options):
        if before:
            reach(before(*arguments))
        result = work(self, *arguments, **options)
        reach(after(*arguments))
        return result

    setattr(owner, name, watching_coroutine if inspect.iscoroutinefunction(work) else watching)


watched(TlsAction, "run_action", "before {}".format, "after {}".format)
watched(TlsAction, "run_module_or_raise", "before module {}".format, "after module {}".format)
if "POINTS_FORGET" in os.environ:  # what would have a certificate issued twice, so that tests can find it
    CachedChain.write = lambda *_arguments: None
watched(LocalCa, "issue", None, lambda *_arguments: "signed")
watched(CachedChain, "write", None, lambda *_arguments: "kept")
watched(LocalCa, "record", None, lambda *_arguments: "recorded")


class CallbackModule(CallbackBase):
    """Tells of tasks."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "points"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_play_start(self, play):
        reach(f"play {play.get_name()}")

    def v2_playbook_on_task_start(self, task, is_conditional):
        reach(f"task {task.get_name()}")

    def v2_runner_on_ok(self, result):
        reach("it went well")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        reach("it failed")

    def v2_runner_on_unreachable(self, result):
        reach("the host was lost")

    def v2_playbook_on_stats(self, stats):
        reach("the end")
