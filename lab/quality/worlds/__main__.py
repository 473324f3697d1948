"""`python -m lab.quality.worlds`."""

from lab.quality.worlds.bench import main

main()
