"""The prompt, where a person talks to the agent.

`repl` reads lines, `command` carries them out, `thinking` shows decisions, `completion` completes commands.
"""
