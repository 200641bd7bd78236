# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the APIs of Tencent Cloud take and answer, from their public description (dev/tencent-api). Needs the standard library only."""

from __future__ import annotations

import json
import pathlib

API = json.loads(pathlib.Path(__file__).with_name("tencent_api.json").read_text(encoding="utf-8"))
KINDS = {"string": str, "bool": bool, "int64": int, "uint64": int, "float": (int, float), "binary": str}


class Unfit(Exception):
    """A call or an answer that the description does not allow. code: the one that the API refuses it with."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


def check_call(service, action, version, parameters):
    """Raise Unfit unless the description has such a call."""
    if service not in API or action not in API[service]["actions"]:
        raise Unfit("InvalidAction", f"{service}:{action}")
    if version != API[service]["version"]:
        raise Unfit("NoSuchVersion", f"{service} {version}")
    _check_object(API[service]["objects"], API[service]["actions"][action][0], parameters, action, is_answer=False)


def check_answer(service, action, answer):
    """Raise Unfit unless the description has such an answer. A field may be missing, or null."""
    answer = {"RequestId": "", **answer}
    _check_object(API[service]["objects"], API[service]["actions"][action][1], answer, action, is_answer=True)


def _check_object(objects, name, value, where, is_answer):
    if not isinstance(value, dict):
        raise Unfit("InvalidParameter", f"{where} is no object")
    members = {member[0]: member[1:] for member in objects[name]}
    unknown = set(value) - set(members)
    missing = {key for key, (_type, _kind, is_required) in members.items() if is_required} - set(value)
    if unknown:
        raise Unfit("UnknownParameter", f"{where}: {sorted(unknown)}")
    if missing and not is_answer:
        raise Unfit("MissingParameter", f"{where}: {sorted(missing)}")
    for key, one in value.items():
        form, kind, _is_required = members[key]
        if one is None and is_answer:
            continue
        if form == "list":
            if not isinstance(one, list):
                raise Unfit("InvalidParameter", f"{where}.{key} is no list")
            for item in one:
                _check_value(objects, kind, item, f"{where}.{key}", is_answer)
        else:
            _check_value(objects, kind, one, f"{where}.{key}", is_answer)


def _check_value(objects, kind, value, where, is_answer):
    if kind in objects:
        _check_object(objects, kind, value, where, is_answer)
    elif not isinstance(value, KINDS.get(kind, str)) or (isinstance(value, bool) and kind != "bool"):
        raise Unfit("InvalidParameter", f"{where}: {value!r} is no {kind}")
