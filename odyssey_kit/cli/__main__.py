"""`python -m odyssey_kit.cli` is the `odyssey` command."""

from odyssey_kit.cli import main

main()
