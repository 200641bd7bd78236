# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people read of a diagnosis."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.result import make_diagnosis
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.screen import diagnosis_screen
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.terminal_width import text_width

CAA = Finding("blocks", "caa.ca", "example.org lets only sectigo.com sign; add: example.org. CAA 0 issue")
ZONE, NAMES = Finding("fine", "zone", "2 of 2 servers answer"), Finding("fine", "names", "they are right")
OTHER = Finding("blocks", "served.other", "2001:db8::7 presents another certificate; see which server that is")
SNI = Finding("risk", "sni", "clients without SNI get default.invalid; see that", seen_from="web9")


def diagnosis(order, served=None, host="web3", domain="www.example.org"):
    return make_diagnosis(host, "www", domain, "letsencrypt", "http-01", order, served)


def test_one_name_has_one_block_with_the_worst_first():
    screen = diagnosis_screen([diagnosis([NAMES, CAA, ZONE], [SNI, OTHER])], None, 10)
    assert screen.splitlines() == [
        "web3 www.example.org  letsencrypt, http-01: an order would be refused",
        "  blocks  caa.ca  example.org lets only sectigo.com sign; add: example.org. CAA 0 issue",
        "  fine    names · zone",
        "web3 www.example.org: not in effect everywhere",
        "  blocks  served.other  2001:db8::7 presents another certificate; see which server that is",
        "  risk    sni           clients without SNI get default.invalid; see that (seen from web9)",
        "1 name of 1 host: 1 would be refused, 1 is not in effect everywhere",
    ]


def test_a_name_that_no_host_has_is_told_without_one():
    made = make_diagnosis("", "", "new.example.org", "", "", [ZONE])
    assert diagnosis_screen([made], None, 10).splitlines()[0] == (
        "new.example.org: nothing stands in the way of an order"
    )


def test_many_names_with_the_same_findings_share_a_block():
    names = [f"www{number:03}.example.org" for number in range(200)]
    made = [diagnosis([CAA._replace(sentence=f"{name} is refused")], domain=name) for name in names]
    made += [diagnosis([NAMES], [ZONE], domain=f"ok{number}.example.org") for number in range(800)]
    lines = diagnosis_screen(made, None, 10).splitlines()
    first = ", ".join(f"web3 {name}" for name in names[:5])
    fine = ", ".join(f"web3 ok{number}.example.org" for number in (0, 1, 10, 100, 101))
    assert lines == [
        f"200 names ({first} and 195 more)  letsencrypt, http-01: an order would be refused",
        "  blocks  caa.ca  www000.example.org is refused",
        "  blocks  caa.ca  www001.example.org is refused",
        "  blocks  caa.ca  www002.example.org is refused",
        "  blocks  caa.ca  … and 197 more like these",
        f"800 names ({fine} and 795 more)  letsencrypt, http-01: nothing stands in the way of an order",
        "  fine  names",
        f"800 names ({fine} and 795 more): in effect",
        "  fine  zone",
        "1000 names of 1 host: 200 would be refused, 800 fine",
    ]


def test_only_so_many_blocks_are_shown():
    made = [diagnosis([CAA._replace(code=f"caa.{number}")], domain=f"www{number}.example.org") for number in range(4)]
    lines = diagnosis_screen(made, None, 2).splitlines()
    assert lines[-2:] == ["… and 2 more names", "4 names of 1 host: 4 would be refused"]
    assert diagnosis_screen(made, None, 0).splitlines() == ["… and 4 more names", lines[-1]]


@pytest.mark.parametrize("width", [20, 40, 80, 120])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost(width):
    made = [diagnosis([NAMES, CAA], [OTHER, SNI])]
    lines = diagnosis_screen(made, width, 10).splitlines()
    assert max(map(text_width, lines)) <= width
    assert "".join("".join(lines).split()) == "".join(diagnosis_screen(made, None, 10).split())


def test_text_of_strangers_stays_on_one_printable_line():
    hostile = "TXT \x1b[2J\r\nfine  all is well\u202e" + "x" * 5
    made = [diagnosis([CAA._replace(sentence=hostile)], domain="a\x1b[1m.example")]
    lines = diagnosis_screen(made, None, 10).splitlines()
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
