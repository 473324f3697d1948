"""What a request meets before its route: who calls, from which page, how often, how large. It imports the wire and no route."""
