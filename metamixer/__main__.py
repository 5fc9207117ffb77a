"""`python -m metamixer` is the program `metamixer`."""

from metamixer.cli import main

if __name__ == "__main__":
    main()
