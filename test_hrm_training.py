"""Check data and model before training: the same as `aegis check`."""

from aegis.cli.door import enter

if __name__ == "__main__":
    enter("check")
