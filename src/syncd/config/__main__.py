"""`python -m syncd.config [sample|page]` prints the sample file or the settings page; `make etc` keeps them."""

from __future__ import annotations

import sys

from syncd.config.samples import sample, settings_page

if __name__ == "__main__":
    sys.stdout.write(settings_page() if sys.argv[1:] == ["page"] else sample())
