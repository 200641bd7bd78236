# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of a block of Lua in a configuration of nginx with lua-nginx-module, such as that of OpenResty.

The content of a block whose directive ends in C(_by_lua_block) is Lua. Quotes, comments and braces in it follow the rules of Lua
(https://www.lua.org/manual/5.1/manual.html, section 2.1).
"""

from __future__ import annotations

import re

DIRECTIVE_SUFFIX = "_by_lua_block"
OPENING_BRACKET = re.compile(r"\[(=*)\[")
# Comments of one line, strings with quotes, and what changes the depth or begins text of several lines.
TOKEN = re.compile(
    r"""
    (?P<comment>--)
    | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'
    | (?P<bracket>\[=*\[)
    | (?P<brace>[{}])
    """,
    re.VERBOSE | re.DOTALL,
)


def lua_block_end(text: str, start: int) -> int:
    """Return the position of the brace that ends a block of Lua, or that of the end of *text* if there is none.

    start: the position behind the brace that begins the block.
    """
    depth, position = 1, start
    while True:
        token = TOKEN.search(text, position)
        if token is None:
            return len(text)
        position = token.end()
        if token["comment"]:
            bracket = OPENING_BRACKET.match(text, position)
            position = _long_bracket_end(text, bracket) if bracket else _line_end(text, position)
        elif token["bracket"]:
            bracket = OPENING_BRACKET.match(text, token.start())
            position = _long_bracket_end(text, bracket) if bracket else position
        elif token["brace"]:
            depth += 1 if token["brace"] == "{" else -1
            if depth == 0:
                return token.start()


def _long_bracket_end(text: str, opening: re.Match[str]) -> int:
    """Return the position behind the long bracket that closes an opening one of the same level."""
    closing = f"]{opening[1]}]"
    end = text.find(closing, opening.end())
    return len(text) if end < 0 else end + len(closing)


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end
