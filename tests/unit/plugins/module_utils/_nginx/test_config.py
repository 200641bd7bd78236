# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading nginx's configuration as nginx does."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import (
    Listen,
    copies_for_test,
    directive_value,
    http_includes,
    is_included,
    other_listens,
    parse_config,
    read_config,
    server_blocks,
)
from ansible_collections.evergreen.tls.tests.unit.recorded_nginx import FILES, MAIN, OURS


def copy(path):
    folder, _slash, name = path.rpartition("/")
    return f"{folder}/.{name}.test"


def test_words_are_read_with_quotes_escapes_and_comments():
    (statement,) = parse_config("""log_format main '$remote_addr "{;}"' "a \\"b\\"" c\\;d # x;\n  ${x}y;""")
    assert statement.words == ["log_format", "main", '$remote_addr "{;}"', 'a "b"', r"c\;d", "${x}y"]


def test_blocks_know_their_lines_and_places():
    text = "# first\n\nhttp {\n  server {\n    listen 80;\n  }\n}\n"
    (http,) = parse_config(text)
    (server,) = http.block
    assert (http.line, server.line, server.block[0].line) == (3, 4, 5)
    assert text[server.start : server.end] == "server {\n    listen 80;\n  }"


def test_a_file_that_nginx_would_refuse_does_not_stop_the_reading():
    assert [statement.words for statement in parse_config("} ; gzip on; server {")] == [["gzip", "on"], ["server"]]


def test_all_files_that_are_included_are_loaded(tmp_path):
    (tmp_path / "conf.d").mkdir()
    main = tmp_path / "nginx.conf"
    main.write_text("include conf.d/*.conf;\ninclude gone.conf;\n")
    (tmp_path / "conf.d" / "a.conf").write_text("include nginx.conf;\n")

    def read(path):
        return open(path, "rb").read() if path != str(tmp_path / "gone.conf") else None

    def find(pattern):
        return [str(path) for path in tmp_path.glob(pattern[len(str(tmp_path)) + 1 :])]

    assert set(read_config(str(main), read, find)) == {str(main), str(tmp_path / "conf.d" / "a.conf")}


def test_server_blocks_are_found_through_their_includes():
    first, second = server_blocks(FILES, MAIN)
    assert first.place == "/etc/nginx/sites-enabled/default:1"
    assert first.names == ["_"]
    assert first.listens == [
        Listen("*", 80, True, False, ("default_server",)),
        Listen("*", 80, True, True, ("default_server",)),
    ]
    assert second.place == "/etc/nginx/sites-enabled/default:7"
    assert second.listens == [
        Listen("*", 443, False, False, ("ssl",)),
        Listen("192.0.2.1", 8443, False, False, ("ssl",)),
    ]
    assert second.names == ["www.example.org", "a b"]
    assert second.certificates == ("/etc/x.pem",)


def test_a_server_without_listen_is_on_port_80():
    (server,) = server_blocks({MAIN: "http { server { server_name a; } }"}, MAIN)
    assert server.listens == [Listen("*", 80, False)]


def test_addresses_without_a_port_are_on_port_80():
    (server,) = server_blocks(
        {MAIN: "http { server { listen 192.0.2.1; listen [2001:db8::1]; listen localhost:81; } }"}, MAIN
    )
    assert server.listens == [
        Listen("192.0.2.1", 80, False),
        Listen("[2001:db8::1]", 80, False, True),
        Listen("localhost", 81, False),
    ]


def test_settings_of_the_main_level_are_found():
    assert directive_value(FILES, MAIN, "pid") == "/run/nginx.pid"
    assert directive_value(FILES, MAIN, "error_log") is None


def test_a_file_is_included_when_the_http_block_would_find_it():
    assert is_included(FILES, MAIN, OURS)
    assert not is_included(FILES, MAIN, "/etc/nginx/modules/evergreen.conf")
    assert not is_included(FILES, MAIN, "/etc/nginx/conf.d/.evergreen.conf")
    assert not is_included(FILES, MAIN, "/etc/nginx/conf.d/deeper/evergreen.conf")
    assert http_includes(FILES, MAIN) == ["/etc/nginx/conf.d/*.conf", "/etc/nginx/sites-enabled/*"]


def test_a_rehearsal_lists_what_the_include_stands_for_with_the_staged_file_in_its_turn():
    copies = copies_for_test(FILES, MAIN, OURS, copy(OURS), copy)
    assert list(copies) == ["/etc/nginx/.nginx.conf.test"]
    assert copies["/etc/nginx/.nginx.conf.test"] == FILES[MAIN].replace(
        "include conf.d/*.conf;",
        'include "/etc/nginx/conf.d/a.conf"; include "/etc/nginx/conf.d/.evergreen.conf.test"; include "/etc/nginx/conf.d/z.conf";',
    )


def test_a_rehearsal_copies_the_files_in_between():
    files = {**FILES, MAIN: "include http.conf;\n", "/etc/nginx/http.conf": "http { include conf.d/*.conf; }\n"}
    copies = copies_for_test(files, MAIN, OURS, copy(OURS), copy)
    assert copies[copy(MAIN)] == 'include "/etc/nginx/.http.conf.test";\n'
    assert copy(OURS) in copies["/etc/nginx/.http.conf.test"]


def test_there_is_nothing_to_rehearse_for_a_file_that_nginx_does_not_read():
    assert copies_for_test(FILES, MAIN, "/srv/evergreen.conf", "/srv/.test", copy) == {}


def test_files_that_include_each_other_end():
    files = {MAIN: "http { include a.conf; }", "/etc/nginx/a.conf": "include nginx.conf; include a.conf;"}
    assert server_blocks(files, MAIN) == []
    assert copies_for_test(files, MAIN, OURS, copy(OURS), copy) == {}


def test_files_that_include_each_other_without_end_are_told_of():
    circle = {f"/etc/nginx/conf.d/{number}.conf": "include conf.d/*.conf;" for number in range(12)}
    sentence = "/etc/nginx/nginx.conf includes include each other without end, .*; see that each is included once"
    for ask in (server_blocks, lambda files, main: copies_for_test(files, main, OURS, OURS + ".new", copy)):
        with pytest.raises(TlsError, match=sentence):
            ask({MAIN: "http { include conf.d/*.conf; }", **circle}, MAIN)


def test_what_is_no_port_is_no_stumbling_block():
    for port in ("²", "x:²", "9" * 5000):
        (server,) = server_blocks({MAIN: f"{{}} http {{ {{}} server {{ {{}} listen {port}; }} }}"}, MAIN)
        assert [listen.port for listen in server.listens] == [80]


LUA = {
    "lengths and comments": """
    -- see {ops wiki}, closes the table } below
    rows = { "a", "b" }
    summary = { count = #rows }
""",
    "an apostrophe and a brace in long text": "local s = [[ it's a { brace ]]",
    "a brace in a comment": "-- closes } here\n",
    "one line": "return { n = #t }",
    "long text of a higher level": "local s = [==[ ]] } ]=] ]==]",
    "a comment of several lines": "--[[ it's } \n } ]] local t = {}",
    "quotes with escapes": "local a, b = \"\\\"}\", '\\'{{'",
    "an include": 'include "conf.d/*.conf"',
    "an operator with two hyphens": "local x = 1 --1 }\n",
}


@pytest.mark.parametrize("lua", LUA.values(), ids=LUA)
def test_a_block_of_lua_ends_where_lua_says(lua):
    files = {**FILES, MAIN: FILES[MAIN].replace("http {", f"http {{ init_by_lua_block {{{lua}}}\n")}
    assert is_included(files, MAIN, OURS)
    assert http_includes(files, MAIN) == http_includes(FILES, MAIN)
    assert [block.names for block in server_blocks(files, MAIN)] == [["_"], ["www.example.org", "a b"]]
    assert copies_for_test(files, MAIN, OURS, copy(OURS), copy).keys() == {copy(MAIN)}


def test_a_block_of_lua_without_an_end_does_not_stop_the_reading():
    for lua in ("[[", "--[[", '"', "{", "--", "[=["):
        (http,) = parse_config(f"http {{ content_by_lua_block {{ {lua}")
        assert [statement.words for statement in http.block] == [["content_by_lua_block"]]


def test_a_directive_of_lua_with_arguments_has_a_block_of_lua():
    (http,) = parse_config("http { set_by_lua_block $res { return '}' } gzip on; }")
    assert [statement.words for statement in http.block] == [["set_by_lua_block", "$res"], ["gzip", "on"]]


def test_backslashes_of_regular_expressions_stay():
    (server,) = server_blocks(
        {MAIN: r"""http { server { server_name ~^(?<x>\d+)\.Example\.org$ "~^a{2}\.b$" WWW.Example.org; } }"""}, MAIN
    )
    assert server.names == [r"~^(?<x>\d+)\.Example\.org$", r"~^a{2}\.b$", "www.example.org"]


def test_a_server_has_its_own_certificates_or_those_of_the_http_block():
    text = """http {
        ssl_certificate /etc/all.pem;
        server { listen 443 ssl; }
        server { listen 443 ssl; ssl_certificate /etc/rsa.pem; ssl_certificate /etc/ecdsa.pem; }
    }"""
    inheriting, own = server_blocks({MAIN: text}, MAIN)
    assert inheriting.certificates == ("/etc/all.pem",)
    assert own.certificates == ("/etc/rsa.pem", "/etc/ecdsa.pem")


def test_servers_for_anything_but_http_are_seen_with_their_ports():
    files = {
        MAIN: "stream { include s.conf; } mail { server { listen 993 ssl; } } http { server { listen 80; } }",
        "/etc/nginx/s.conf": "\nserver { listen 443; ssl_preread on; }\nserver { listen 53 udp; }\n",
    }
    assert other_listens(files, MAIN) == [
        ("stream server at /etc/nginx/s.conf:2", Listen("*", 443, False)),
        (f"mail server at {MAIN}:1", Listen("*", 993, False, False, ("ssl",))),
    ]


def test_a_block_at_a_unix_socket_alone_has_no_port_and_a_range_has_all_of_its_ports():
    text = "http { server { listen unix:/run/a; } server { } server { listen 127.0.0.1:81-83; listen 9-7; listen 99990-99999999; } }"
    ports = [[listen.port for listen in block.listens] for block in server_blocks({"/main": text}, "/main")]
    assert ports == [[], [80], [81, 82, 83, 9, 99990]]


def test_the_directive_ssl_of_older_versions_is_inherited():
    text = "http { ssl on; server { listen 443; } server { listen 80; ssl off; } }"
    assert [block.has_tls for block in server_blocks({"/main": text}, "/main")] == [True, False]


def test_nginx_separates_words_by_four_characters_only():
    assert parse_config("return 200 a\u00a0b\u3000c;")[0].words == ["return", "200", "a\u00a0b\u3000c"]
