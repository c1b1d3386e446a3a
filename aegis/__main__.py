"""`python -m aegis`: the same as `aegis`."""

from aegis.cli.door import main

if __name__ == "__main__":
    main()
