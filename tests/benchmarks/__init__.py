"""How fast and how good, side by side: `make benchmark` measures what the README claims.

In reading order:

    recipes.py      who competes, at which settings, and why at these
    plan.py         which runs there are, and how long each takes
    material.py     the posts that all of them get
    machine.py      what this machine is, and how fast its matrix products are
    arithmetic.py   how many operations a token costs
    rivals.py       the other recipes, each in a process of its own
    ours.py         the command line of this project, as a user would start it
    scored.py       its finished bot, on all held-out posts
    writing.py      drafts from a cold command, and
    loaded.py       from a bot in memory, beside plain generate()
    reading.py      whether the time to read posts grows only as their number does
    process.py      how a process is started and ended
    results.py      what was measured: a file that grows run by run
    table.py        the same for a reader, and the ratio in the headline
    overview.py     the same as the README has it
    figure.py       the same as a picture
    __main__.py     the command

Every run is a process of its own, so that none inherits another's memory or warm caches.
"""
