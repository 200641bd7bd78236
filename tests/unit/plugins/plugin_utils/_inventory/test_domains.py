# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One normal form for every name, and a sentence for what is none."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory import domains
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.domains import normal_name, normal_names

try:
    from hypothesis import given
    from hypothesis import strategies as some
except ImportError:  # the oldest and the newest Debian are asked without it
    given = None

LABEL_63 = "a" * 63
LONG_253 = ".".join([LABEL_63, LABEL_63, LABEL_63, "a" * 61])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("www.example.org", "www.example.org"),
        ("WWW.Example.ORG", "www.example.org"),
        ("www.example.org.", "www.example.org"),
        ("  www.example.org\t", "www.example.org"),
        ("localhost", "localhost"),
        ("_sip.example.org", "_sip.example.org"),
        ("3com.example", "3com.example"),
        ("1.2.3.example", "1.2.3.example"),
        ("a--b.example.org", "a--b.example.org"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("*.example.org", "*.example.org"),
        ("*.Example.org.", "*.example.org"),
        (f"{LABEL_63}.example.org", f"{LABEL_63}.example.org"),
        (LONG_253, LONG_253),
        (f"{LONG_253}.", LONG_253),
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
        ("::", "::"),
    ],
)
def test_a_name_has_one_normal_form(text, name):
    assert normal_name(text) == name
    assert normal_name(name) == name


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "'' is not a name; write a DNS name such as www.example.org or an IP address"),
        ("   ", "'   ' is not a name; write a DNS name such as www.example.org or an IP address"),
        (None, "None is not a name; write a DNS name such as www.example.org or an IP address"),
        (7, "7 is not a name; write a DNS name such as www.example.org or an IP address"),
        (".", "'.' is not a DNS name: a part between its dots is empty; correct it"),
        ("..", "'..' is not a DNS name: a part between its dots is empty; correct it"),
        ("example..org", "'example..org' is not a DNS name: a part between its dots is empty; correct it"),
        (".example.org", "'.example.org' is not a DNS name: a part between its dots is empty; correct it"),
        ("example.org..", "'example.org..' is not a DNS name: a part between its dots is empty; correct it"),
        (
            f"a{LABEL_63}.example.org",
            (
                f"'a{LABEL_63}.example.org' is not a DNS name: the part aaaaaaaaaaaaaaaaaaaa… has 64 characters, "
                "and 63 are allowed; correct it"
            ),
        ),
        ("-a.example.org", "the part '-a' begins or ends with a hyphen; correct it"),
        ("a-.example.org", "the part 'a-' begins or ends with a hyphen; correct it"),
        ("-", "the part '-' begins or ends with a hyphen; correct it"),
        (
            "www example.org",
            "the part 'www example' has characters other than letters, digits, hyphens and underscores",
        ),
        ("www.exam\nple.org", "the part 'exam\\nple' has characters other than letters"),
        ("www.example.org\0", "the part 'org\\x00' has characters other than letters"),
        ("www.example.org;", "the part 'org;' has characters other than letters"),
        ('www".example.org', "the part 'www\"' has characters other than letters"),
        ("www'.example.org", "has characters other than letters"),
        ("www/etc.example.org", "the part 'www/etc' has characters other than letters"),
        ("../../etc/passwd", "is not a DNS name: a part between its dots is empty"),
        ("https://www.example.org", "the part 'https://www' has characters other than letters"),
        ("www.example.org:443", "the part 'org:443' has characters other than letters"),
        ("ops@example.org", "the part 'ops@example' has characters other than letters"),
        ("{{ domain }}", "has characters other than letters"),
        ("$(id).example.org", "has characters other than letters"),
        ("192.0.2.0/24", "has characters other than letters"),
        ("[2001:db8::1]", "has characters other than letters"),
        (
            "*",
            "is no wildcard: the asterisk stands alone, in the first place, for one level: *.example.org covers www.example.org, and neither",
        ),
        (
            "*.",
            "is no wildcard: the asterisk stands alone, in the first place, for one level: *.example.org covers www.example.org, and neither",
        ),
        (
            "*.*.example.org",
            "is no wildcard: the asterisk stands alone, in the first place, for one level: *.example.org covers www.example.org, and neither",
        ),
        (
            "www.*.example.org",
            "is no wildcard: the asterisk stands alone, in the first place, for one level: *.example.org covers www.example.org, and neither",
        ),
        (
            "w*.example.org",
            "is no wildcard: the asterisk stands alone, in the first place, for one level: *.example.org covers www.example.org, and neither",
        ),
        ("*.org", "'*.org' would cover a whole top-level domain; write a wildcard such as *.example.org"),
        ("*.org.", "'*.org.' would cover a whole top-level domain; write a wildcard such as *.example.org"),
        ("1", "'1' is neither an IP address nor a DNS name, since it ends in a number; correct it"),
        ("192.0.2.256", "'192.0.2.256' is neither an IP address nor a DNS name, since it ends in a number; correct it"),
        ("192.0.2", "is neither an IP address nor a DNS name, since it ends in a number; correct it"),
        ("*.192.0.2.1", "is neither an IP address nor a DNS name, since it ends in a number; correct it"),
        ("host.1234", "is neither an IP address nor a DNS name, since it ends in a number; correct it"),
        (f"a{LONG_253}"[:63] + f".{LONG_253}", "has 317 characters, and a DNS name has 253 at most; shorten it"),
        (f"{LONG_253}a", f"'{LONG_253}a' has 254 characters, and a DNS name has 253 at most; shorten it"),
        (f"*.{LONG_253}", "has 255 characters, and a DNS name has 253 at most; shorten it"),
        (
            "fe80::1%eth0",
            "'fe80::1%eth0' is an address of one link only, and certificates hold no interfaces; leave out the interface",
        ),
    ],
)
def test_what_is_no_name_is_refused_with_its_reason(text, sentence):
    with pytest.raises(TlsError) as caught:
        normal_name(text)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("*.bücher.example", "*.xn--bcher-kva.example"),
        ("bücher.example.", "xn--bcher-kva.example"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("faß.example", "xn--fa-hia.example"),
        ("ｗｗｗ.example", "www.example"),
    ],
)
def test_an_internationalised_name_is_encoded(text, name):
    pytest.importorskip("idna")
    assert normal_name(text) == name
    assert normal_name(name) == name


def test_a_look_alike_is_another_name():
    pytest.importorskip("idna")
    assert normal_name("\u0440aypal.example").startswith("xn--")  # a Cyrillic er
    assert normal_name("\u0440aypal.example") != "paypal.example"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a\u200bb.-ü", "is not an internationalised DNS name: "),
        ("☃☃.example", "'☃☃.example' is not an internationalised DNS name: "),
        ("＊.example.org", "is not an internationalised DNS name: "),
        ("ü" * 64, "is not an internationalised DNS name: "),
        ("\ud800.example", "is not an internationalised DNS name: "),
        ("１９２.0.2.1", "is neither an IP address nor a DNS name, since it ends in a number"),
        ("*.ｏrg", "would cover a whole top-level domain"),
    ],
)
def test_what_is_no_internationalised_name_is_refused(text, sentence):
    pytest.importorskip("idna")
    with pytest.raises(TlsError) as caught:
        normal_name(text)
    assert sentence in str(caught.value)


def test_names_in_ascii_do_without_the_idna_library(monkeypatch):
    monkeypatch.setattr(domains, "idna", None)
    assert normal_name("xn--bcher-kva.example") == "xn--bcher-kva.example"
    with pytest.raises(TlsError) as caught:
        normal_name("bücher.example")
    assert str(caught.value) == (
        "'bücher.example' is not ASCII, and Python's idna library is not here; install python3-idna or write it as xn--…"
    )


if given:

    @given(some.text() | some.text(alphabet="aA1.-_*%:ü\ud800 /", max_size=12) | some.ip_addresses().map(str))
    def test_any_text_has_a_normal_form_that_is_its_own_or_is_refused(text):
        try:
            name = normal_name(text)
        except TlsError:
            return
        assert normal_name(name) == name
        assert name.isascii() and name == name.lower() and len(name) <= 253
        assert not set(name) & set(" /\\;'\"\n\0$`{}%")


def test_names_keep_their_order_and_come_once():
    assert normal_names(["b.example", "A.example", "B.example.", "a.example", "::1", "0::1"]) == [
        "b.example",
        "a.example",
        "::1",
    ]


@pytest.mark.parametrize(
    ("text", "names"),
    [("Intranet", ["intranet"]), ("b.example, A.example,b.example", ["b.example", "a.example"])],
)
def test_text_is_a_list_of_names_as_ansible_takes_it(text, names):
    assert normal_names(text) == names


@pytest.mark.parametrize("nothing", [[], None])
def test_a_list_of_no_names_is_refused(nothing):
    with pytest.raises(TlsError, match="the list of domains is empty; name at least one DNS name or IP address"):
        normal_names(nothing)


def test_one_bad_name_spoils_the_list():
    with pytest.raises(TlsError, match="'-' is not a DNS name"):
        normal_names(["www.example.org", "-"])


@pytest.mark.parametrize("name", ["www.例子.中国。", "www.例子.中国．", "www.例子.中国｡", "www.例子.中国."])
def test_the_full_stop_of_a_chinese_keyboard_ends_a_name(name):
    assert normal_name(name) == "www.xn--fsqu00a.xn--fiqs8s"


@pytest.mark.parametrize("address", ["::ffff:192.0.2.1", "::FFFF:c000:201", "0:0:0:0:0:ffff:c000:0201"])
def test_a_mapped_address_has_one_form_with_every_version_of_python(address):
    assert normal_name(address) == "::ffff:192.0.2.1"


@pytest.mark.parametrize("label", ["xn--a", "xn--99999999", "xn--0000h"])
def test_an_a_label_that_stands_for_no_word_is_refused(label):
    with pytest.raises(
        TlsError, match=f"{label.lower()}.* stands for no word .*; write the word itself, or correct it"
    ):
        normal_name(f"{label}.example.org")
    assert normal_name("XN--BCHER-KVA.example.org") == "xn--bcher-kva.example.org"


@pytest.mark.parametrize("name", ["xn--ls8h.la", "xn--i-7iq.ws", "XN--N3H.net"])
def test_an_a_label_of_symbols_is_accepted_as_by_browsers_and_cas(name):
    assert normal_name(name) == name.lower()


@pytest.mark.parametrize(
    "label",
    [
        *(
            "xn--a-ecp",
            "xn--8hb",
            "xn--xn---epa",
            "xn--0",
            "xn--ab-j1t",
        ),  # of compatibility, direction, hyphens, nothing, joiners
        "xn--1ug",  # a joiner alone
        "xn--LS8H-".lower(),
    ],
)
def test_an_a_label_that_browsers_refuse_is_refused(label):
    with pytest.raises(TlsError, match="stands for no word|begins or ends with a hyphen"):
        normal_name(f"{label}.example.org")


@pytest.mark.parametrize("name", ["0x7f000001", "www.0x1", "www.0X"])
def test_a_name_that_browsers_take_for_an_address_is_refused(name):
    with pytest.raises(
        TlsError, match="is neither an IP address nor a DNS name, since it ends in a number; correct it"
    ):
        normal_name(name)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("https://www.example.org/shop", "a name has no scheme, path or prefix: leave them out, or correct it"),
        ("192.0.2.0/24", "a name has no scheme, path or prefix: leave them out, or correct it"),
        ("ops@example.org", "a name has no user: leave out what stands before the @, or correct it"),
        ("www.example.org:443", "a name has no port, and an address no brackets: leave them out, or correct it"),
        ("[2001:db8::1]:443", "a name has no port, and an address no brackets: leave them out, or correct it"),
        ("www example.org", "letters, digits, hyphens and underscores; correct it"),
    ],
)
def test_what_is_to_be_left_out_is_said(text, remedy):
    with pytest.raises(TlsError) as caught:
        normal_name(text)
    assert str(caught.value).endswith(remedy)
