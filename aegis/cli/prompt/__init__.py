"""The prompt, where a person talks to the agent: its lines read, its commands carried out, decisions shown."""
