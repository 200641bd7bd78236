# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Words in names for which CAs often refuse a free certificate.

Source: what Alibaba Cloud and Huawei Cloud say of the same free certificates, under "security review" (support.huaweicloud.com, ccm_01_0193).
"""

from __future__ import annotations

RESERVED_WORDS = (
    *("live", "bank", "banc", "ban.c", "alpha", "test", "example", "credit", "apple", "ebay", "trust", "root"),
    *("amazon", "android", "visa", "google", "discover", "financial", "wordpress", "free"),
)
RESERVED_LABELS = (
    "pw",
    "pal",
    "hp",
    "lv",
    "scp",
)  # short ones: between dots and hyphens, as others have them by chance


# not a parser: it reads what the inventory says
def reserved_words(domain: str) -> list[str]:
    """Return the words of a domain for which a CA may refuse it.

    >>> reserved_words("shop.mybank.example.live"), reserved_words("www.php-hp.net")
    (['bank', 'example'], ['hp'])
    """
    name, _dot, top = domain.rpartition(".")
    labels = name.replace("-", ".").split(".")
    short = [word for word in RESERVED_LABELS if word in labels or word == top]
    return [word for word in RESERVED_WORDS if word in name] + short
