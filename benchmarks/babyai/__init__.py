"""BabyAI by AEGIS: `python -m benchmarks.babyai`."""
