"""Train the HRM now, on the shipped decisions by default: the same as `aegis train`."""

from aegis.cli.door import enter

if __name__ == "__main__":
    enter("train")
