"""An agent written against OpenAI's client goes from its model to an HRM by its `base_url` alone: `__main__`."""
