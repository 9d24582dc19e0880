"""`python -m odyssey_kit` is the `odyssey` command."""

from odyssey_kit.cli import main

main()
