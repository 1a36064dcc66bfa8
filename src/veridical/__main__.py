"""`python -m veridical`: the command line, where the program itself is not on the path."""

from veridical.cli import main

if __name__ == "__main__":
    main()
