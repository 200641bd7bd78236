# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From measurements to a page: medians, ratios, and whether the goals are kept."""

from __future__ import annotations

import dataclasses
import statistics
import typing as t

KIB = 1024
LINEAR = 1.2  # how much more than in proportion still counts as linear, since figures of a second are no better


@dataclasses.dataclass(frozen=True)
class Goal:
    """A measured value and its upper limit."""

    what: str
    value: float
    limit: float
    form: str  # how both are written, as a format string
    beside: str = ""  # the same in processor time, which other people's work on the machine does not stretch

    @property
    def kept(self) -> bool:
        return self.value <= self.limit

    def row(self) -> list[str]:
        """Return the value, the limit and whether it was kept, as a row of the page."""
        return [
            self.what,
            self.form.format(self.value),
            f"≤ {self.form.format(self.limit)}",
            "kept" if self.kept else "**missed**",
            self.beside,
        ]


def ratio(times: list[float], others: list[float]) -> float:
    """Return how the median of some times compares to that of others."""
    return statistics.median(times) / statistics.median(others)


def spread(times: list[float]) -> str:
    """Return the median of some seconds, with the least and the most beside it.

    >>> spread([3.0, 2.0, 9.5])
    '3.0 s (2.0 – 9.5)'
    """
    return f"{statistics.median(times):.1f} s ({min(times):.1f} – {max(times):.1f})"


def processor_time(times: dict[str, list[float]]) -> list[float]:
    """Return the processor time of each run, here and on the hosts."""
    return [here + there for here, there in zip(times["here"], times["there"])]


def goals(results: dict[str, t.Any]) -> list[Goal]:
    """Return the goals of the parts that were measured."""
    return [
        *(goals_of_comparison(results) if "times" in results else []),
        *(goals_of_growth(results["scale"]) if "scale" in results else []),
        *(goals_of_acme(results["acme"]) if "acme" in results else []),
        *(goals_of_dns(results["dns"]) if "dns" in results else []),
        *(goals_of_plan(results["plan"]) if "plan" in results else []),
        *(goals_of_sites(results["sites"]) if "sites" in results else []),
    ]


def goals_of_comparison(results: dict[str, t.Any]) -> list[Goal]:
    """Return the goals of the comparison with other ways to HTTPS."""
    seconds = {run: value["seconds"] for run, value in results["times"].items()}
    busy = {run: processor_time(value) for run, value in results["times"].items()}
    sizes = {name: size for name, size in results["payloads"].items() if name.startswith("evergreen.")}
    heaviest = max(sizes, key=sizes.__getitem__)
    return [
        Goal(
            "first deployment, against community.crypto",
            ratio(seconds["deploy"], seconds["peer"]),
            1 / 2,
            "{:.2f} of its time",
            f"{ratio(busy['deploy'], busy['peer']):.2f}",
        ),
        Goal(
            "nothing to do: `renew`, against community.crypto",
            ratio(seconds["renew"], seconds["peer again"]),
            1 / 8,
            "{:.3f} of its time",
            f"{ratio(busy['renew'], busy['peer again']):.3f}",
        ),
        Goal("trips to a host for one renewal", results["trips"]["renewal"]["commands"], 3, "{:.0f}"),
        # Few trips count for more than bytes: one module does the work of five.
        Goal(f"payload of the heaviest module, `{heaviest}`", sizes[heaviest] / 1000, 270, "{:.0f} KB"),
    ]


def goals_of_growth(scale: dict[str, t.Any]) -> list[Goal]:
    """Return the goals of large inventories with nothing to do."""
    runs = {run["endpoints"]: run for run in scale["runs"]}
    ping = scale["ping"]
    same = runs[ping["endpoints"]]
    smaller, larger = sorted(runs)[-2:]
    linear = larger / smaller * LINEAR
    return [
        Goal(
            f"nothing to do on {ping['endpoints']}: `renew`, against ping",
            ratio(same["seconds"], ping["seconds"]),
            1 / 50,
            "{:.4f} of its time",
            f"{ratio(same['here'], ping['here']):.4f}",
        ),
        Goal("logins, nothing to do", sum(run["logins"] for run in scale["runs"]), 0, "{:.0f}"),
        Goal(
            f"time for {larger}, against {smaller}",
            ratio(runs[larger]["seconds"], runs[smaller]["seconds"]),
            linear,
            "{:.1f} ×",
            f"{ratio(runs[larger]['here'], runs[smaller]['here']):.1f} ×",
        ),
        Goal(
            f"memory for {larger}, against {smaller}",
            ratio(runs[larger]["memory"], runs[smaller]["memory"]),
            linear,
            "{:.1f} ×",
        ),
    ]


def goals_of_acme(acme: dict[str, t.Any]) -> list[Goal]:
    """Return the goals of certificates by ACME."""
    ours, certbot = (acme["ways"][way]["issue"] for way in ("evergreen.tls", "certbot"))
    return [
        Goal(
            f"{acme['certificates']} certificates by ACME, against certbot",
            ratio(ours["seconds"], certbot["seconds"]),
            1 / 5,
            "{:.2f} of its time",
            f"{ratio(processor_time(ours), processor_time(certbot)):.2f}",
        )
    ]


def goals_of_dns(dns: dict[str, t.Any]) -> list[Goal]:
    """Return the goals of the checks of many names before an order."""
    ours, floor = dns["ours"], dns["floor"]
    title = f"CAA records and addresses of {dns['names']} names"
    return [
        Goal(title, statistics.median(ours["seconds"]), 5, "{:.1f} s", f"{statistics.median(ours['here']):.1f} s"),
        Goal(
            f"{title}, against a loop of dnspython",
            ratio(ours["seconds"], floor["seconds"]),
            2,
            "{:.1f} ×",
            f"{ratio(ours['here'], floor['here']):.1f} ×",
        ),
    ]


def goals_of_plan(plan: dict[str, t.Any]) -> list[Goal]:
    """Return the goals of the plan of a large fleet."""
    ours, floor = plan["ours"], plan["floor"]
    title = f"plan of {plan['requests']} requests"
    return [
        Goal(title, statistics.median(ours["seconds"]), 5, "{:.1f} s", f"{statistics.median(ours['here']):.1f} s"),
        Goal(
            f"{title}, against ansible-inventory",
            ratio(ours["seconds"], floor["seconds"]),
            3,
            "{:.1f} ×",
            f"{ratio(ours['here'], floor['here']):.1f} ×",
        ),
    ]


def goals_of_sites(sites: dict[str, t.Any]) -> list[Goal]:
    """Return the goals of one host with many sites."""
    times = sites["times"]
    count = sites["sites"]
    return [
        Goal(
            f"nothing to do on a host with {count} sites: `deploy`, against ping",
            ratio(times["again"]["seconds"], times["ping"]["seconds"]),
            8,
            "{:.1f} ×",
            f"{ratio(processor_time(times['again']), processor_time(times['ping'])):.1f} ×",
        ),
        Goal(
            f"site number {count + 1}: `deploy`, against one with nothing to do",
            ratio(times["one more"]["seconds"], times["again"]["seconds"]),
            2,
            "{:.1f} ×",
            f"{ratio(processor_time(times['one more']), processor_time(times['again'])):.1f} ×",
        ),
        Goal(f"`nginx -t` with {count} sites", statistics.median(sites["nginx -t"]), 0.3, "{:.2f} s"),
    ]


def page(results: dict[str, t.Any], titles: dict[str, str]) -> str:
    """Return the results in Markdown; *titles* says what each run is."""
    parts = [
        f"# evergreen.tls beside other ways to the same end, {results['taken']}",
        ", ".join(f"{name} {value}" for name, value in results["conditions"].items()),
        table(["goal", "found", "wanted", "", "in processor time"], [goal.row() for goal in goals(results)]),
        *(comparison(results, titles) if "times" in results else []),
        *([growth(results["scale"])] if "scale" in results else []),
        *([by_acme(results["acme"])] if "acme" in results else []),
    ]
    return "\n\n".join(parts) + "\n"


def comparison(results: dict[str, t.Any], titles: dict[str, str]) -> list[str]:
    """Return the tables of the ways to HTTPS: times, trips, payloads."""
    times, trips, payloads = results["times"], results["trips"], results["payloads"]
    ping, ping_size = times["ping"]["seconds"], payloads["ansible.builtin.ping"]
    return [
        table(
            [
                f"run on {results['hosts']} hosts",
                "median (least – most)",
                "against ping",
                "processor time: here",
                "on the hosts",
            ],
            [
                [
                    titles[run],
                    spread(value["seconds"]),
                    f"{ratio(value['seconds'], ping):.1f} ×",
                    spread(value["here"]),
                    spread(value["there"]),
                ]
                for run, value in times.items()
            ],
        ),
        table(
            ["for each host", "modules run on it", "SSH commands", "modules run here", "task results"],
            [
                [titles[run], *(f"{counts[key]:g}" for key in ("modules", "commands", "here", "results"))]
                for run, counts in trips.items()
            ],
        ),
        table(
            ["module", "payload", "over `ping`"],
            [
                [f"`{name}`", f"{size / KIB:.1f} KiB", f"{(size - ping_size) / KIB:+.1f} KiB"]
                for name, size in payloads.items()
            ],
        ),
    ]


def growth(scale: dict[str, t.Any]) -> str:
    """Return the table of inventories that grow."""
    runs = [("`renew`, nothing to do", run) for run in scale["runs"]]
    rows = [
        [
            title,
            str(run["endpoints"]),
            spread(run["seconds"]),
            f"{statistics.median(run['seconds']) / run['endpoints'] * 1000:.1f} ms",
            spread(run["here"]),
            f"{statistics.median(run['memory']):.0f} MiB" if "memory" in run else "",
            str(run["logins"]),
        ]
        for title, run in [*runs, ("`ansible web -m ping`, once", scale["ping"])]
    ]
    return table(
        ["run", "names", "median (least – most)", "for each", "processor time here", "its largest process", "logins"],
        rows,
    )


def by_acme(acme: dict[str, t.Any]) -> str:
    """Return the table of certificates by ACME."""
    done = {"issue": "had and served", "renew": "renewed by force", "nothing": "nothing due"}
    return table(
        [
            f"{acme['certificates']} certificates",
            "",
            "median (least – most)",
            "processor time: here",
            "on the hosts",
            "orders",
            "tasks for each host",
        ],
        [
            [
                way,
                done[run],
                spread(value["seconds"]),
                spread(value["here"]),
                spread(value["there"]),
                str(value["orders"]),
                str(value["tasks"]),
            ]
            for way, runs in acme["ways"].items()
            for run, value in runs.items()
        ],
    )


def table(columns: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown that also reads well as it is."""
    widths = [max(len(line[index]) for line in [columns, *rows]) for index in range(len(columns))]
    lines = [columns, ["-" * width for width in widths], *rows]
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines)
