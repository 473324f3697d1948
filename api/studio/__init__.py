"""The HTML pages: the studio at `/` and the API reference at `/docs`. They load nothing from other servers."""
