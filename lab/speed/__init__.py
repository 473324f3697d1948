"""How fast passes, jobs and crowds of jobs are on one device, beside the reference way: `python -m lab.speed`.

    python -m lab.speed                              the shipped model on the CPU: lab/results/speed.json and speed.png
    python -m lab.speed --device cuda                Stable Diffusion 1.4's shape with random weights on the GPU
    python -m lab.speed --quick                      every phase in miniature, within a minute
    python -m lab.speed.plot --results FILE.json     draw the plot of a results file again

Every phase writes its result as soon as it has one. A second run with the same file skips finished phases and tries the others
again. A phase that fails is recorded with its error, and the rest goes on. With `--budget SECONDS`, phases that no longer fit are
skipped.

Ratios of two numbers of one file mean something. A number alone depends on the machine and on what else it does.
"""
