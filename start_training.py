"""Run the agent by itself, through all phases: the same as `aegis start`."""

from aegis.cli.door import enter

if __name__ == "__main__":
    enter("start")
