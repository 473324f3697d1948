"""The bodies of requests, read strictly: JSON and forms. What can be read in two ways, or only in part, is refused."""
