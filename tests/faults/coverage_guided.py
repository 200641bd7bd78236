# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Let atheris, guided by what it covers, look for an input that breaks a parser: coverage_guided.py PARSER FOLDER [OPTION OF LIBFUZZER …]."""

from __future__ import annotations

import random
import sys
import warnings

import atheris

OWN = "ansible_collections.evergreen.tls.plugins"

with atheris.instrument_imports(include=[OWN]):
    from ansible_collections.evergreen.tls.tests.faults.mutations import mutate
    from ansible_collections.evergreen.tls.tests.faults.parsers.parser import Parser, feed
    from ansible_collections.evergreen.tls.tests.faults.parsers.table import PARSERS


@atheris.instrument_func
def ladder(content: bytes) -> None:
    """Raise an error for one input alone, which chance would not find; it shows that coverage leads somewhere."""
    if content[:1] != b"e":
        return
    if content[1:2] != b"v":
        return
    if content[2:3] != b"g":
        return
    if content[3:4] == b"!":
        raise ValueError("the top of the ladder")


def main() -> None:
    name, folder, *options = sys.argv[1:]
    by_name = {parser.name: parser for parser in PARSERS}
    parser = by_name.get(name) or Parser("guided", "a ladder", ladder, (b"",))
    warnings.simplefilter("ignore")

    def change(content: bytes, largest: int, seed: int) -> bytes:
        """Change an input as libFuzzer does, or as hypothesis feeds it."""
        chance = random.Random(seed)
        if chance.random() < 0.5:
            return atheris.Mutate(content, largest)
        return mutate(parser.kind, content, chance, parser.seeds, parser.signer)[:largest]

    atheris.Setup(
        [sys.argv[0], folder, "-max_len=20000", "-print_final_stats=1", *options],
        lambda content: feed(parser, content),
        custom_mutator=change,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
