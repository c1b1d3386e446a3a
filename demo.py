"""Talk to the agent: the same as `aegis prompt`."""

from aegis.cli.door import enter

if __name__ == "__main__":
    enter("prompt")
