"""The health check of the images, which have no curl: `python -m s2edit_jobs.health http://127.0.0.1:8000/healthz`."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

TIMEOUT_S = 3.0


def problem_at(url: str) -> str | None:
    """Return why `url` does not answer 200, or None if it does."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy would not reach this container
    try:
        with opener.open(url, timeout=TIMEOUT_S):
            return None
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read(1000).decode(errors='replace').strip()}"
    except OSError as error:
        return f"no answer: {error}"


if __name__ == "__main__":
    sys.exit(problem_at(sys.argv[1]))
